"""What clients of AG-UI and of the AI SDK post: a conversation, whose last message may be a user's question.

Of either no more is looked at than is needed here; what else their versions send is let through.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from chatstore.errors import InvalidInput
from chatstore.model import JsonValue
from chatstore.wire.described import Name


class _Posted(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", hide_input_in_errors=True, strict=True)


class PostedPart(_Posted):
    """A part of a message; of those that are no `text` nothing is taken."""

    type: str
    text: str | None = None


class PostedMessage(_Posted):
    """A message. A user's has text or parts as its `content` (AG-UI), or `parts` (AI SDK)."""

    id: str | None = None
    role: str
    content: JsonValue = Field(default=None, description="of a user's message: text, or parts")
    parts: list[PostedPart] | None = None

    @property
    def text(self) -> str:
        """What it says. Raises InvalidInput for a content that no user can have said."""
        if self.content is None or self.content == "":
            return "".join(part.text or "" for part in self.parts or () if part.type == "text")
        if isinstance(self.content, str):
            return self.content
        if isinstance(self.content, list):
            return "".join(map(_text, self.content))
        raise InvalidInput("messages: the content of a user's message is text, or a list of parts")


def _text(part: JsonValue) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else ""


class AguiInput(_Posted):
    """AG-UI's RunAgentInput. The context is that of the path, and the run is named by the store."""

    messages: list[PostedMessage]


class UiInput(_Posted):
    """What `useChat` of the AI SDK posts."""

    messages: list[PostedMessage]


class Question(NamedTuple):
    """What a user asks, and the id that the client gave it."""

    text: str
    id: Name | None


def asked(given: AguiInput | UiInput) -> Question | None:
    """The last message of a request, if it is a user's."""
    if not given.messages or given.messages[-1].role != "user":
        return None
    last = given.messages[-1]
    return Question(last.text, last.id or None)
