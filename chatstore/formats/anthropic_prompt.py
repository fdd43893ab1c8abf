"""Blocks as the `system` and the `messages` of an Anthropic Messages request.

The rules are those of https://platform.claude.com/docs/en/api/messages, and what its endpoint refuses beyond them:
https://github.com/lobehub/lobehub/issues/1601 (an assistant's message first),
https://github.com/anthropics/claude-code/issues/23440 (blank text),
https://github.com/UKGovernmentBEIS/inspect_ai/pull/169 (an error that says nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Final, NotRequired, TypeAlias, TypedDict

from chatstore.formats.exchanges import FAILED, Call, Exchange, exchanges
from chatstore.formats.openai_parts import ReadBytes, encoded
from chatstore.formats.provider_media import IMAGES, PDF, Item, Render, items, loaded, nothing, reader, text_item
from chatstore.model import Block, JsonValue, Part

AnthropicMessage: TypeAlias = JsonValue
"""A message as Anthropic's package takes it: a dict. Its own types are not imported here."""
Said: TypeAlias = tuple[str, Item]

_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})

OPENING: Final = "(The conversation begins here.)"
"""What the user is made to say where the assistant would be the first to speak."""


class AnthropicPrompt(TypedDict):
    """The parameters of a Messages request that hold the conversation; without `system` where nothing is."""

    system: NotRequired[str]
    messages: list[AnthropicMessage]


def to_anthropic(blocks: Iterable[Block], read_bytes: ReadBytes | None = None) -> AnthropicPrompt:
    """The conversation of a Messages request, for `client.messages.create(**to_anthropic(blocks), …)`.

    Takes what `get_messages(kind="prompt")` returns, or any other blocks in order. `read_bytes` is the store's, for
    images and files that are kept as bytes. What is made of them keeps the rules of the API:

    - `system` is all that system and developer messages say, also those in the middle.
    - User and assistant alternate, the user first: messages of one role are joined, and where the assistant would be
      first, the user says OPENING.
    - Every `tool_use` is answered in the next message: a result that came later moves there, one whose call is not
      among the blocks is left out, and a call without a result gets one that says so. Several results are one.
    - A call id that came before in the request, or that is none for Anthropic, becomes the id of the call's block.
      Arguments that are no JSON object are the member `arguments` of one.
    - Reasoning is sent where `data["signature"]` of its block has Anthropic's signature, or `data["redacted_thinking"]`
      what Anthropic sealed. It is not part of a prompt by kind: give the blocks of kind `trace` where the model has to
      see it again, as between a call with thoughts before it and its answer.
    - Text that was written until a stop is kept; blank text is left out. A part that has no place is named in words.
    """
    render = partial(_item, read_bytes=reader(read_bytes))
    system: list[str] = []
    said: list[Said] = []
    for exchange in exchanges(blocks):
        if exchange.role in ("system", "developer") and exchange.said is not None:
            system += [item["text"] for item in items(exchange.said, nothing)]
        else:
            said += _said(exchange, render)
    messages = _messages(_followed(said))
    return {"system": "\n\n".join(system), "messages": messages} if system else {"messages": messages}


def _said(exchange: Exchange, render: Render) -> Iterator[Said]:
    for thought in exchange.thoughts:
        data = thought.data if isinstance(thought.data, dict) else {}
        signature, redacted = data.get("signature"), data.get("redacted_thinking")
        if isinstance(signature, str) and signature:
            yield "assistant", {"type": "thinking", "thinking": thought.text, "signature": signature}
        elif isinstance(redacted, str) and redacted:
            yield "assistant", {"type": "redacted_thinking", "data": redacted}
    if exchange.said is not None:
        for item in items(exchange.said, render if exchange.role == "user" else nothing):
            yield exchange.role, item
    for call in exchange.calls:
        yield "assistant", {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
    for call in exchange.calls:
        yield "user", _result(call, render)


def _result(call: Call, render: Render) -> Item:
    """An error is told in words alone, and is never without."""
    content = [item for result in call.results for item in items(result, nothing if call.is_error else render)]
    made: Item = {"type": "tool_result", "tool_use_id": call.id}
    if call.is_error:
        return {**made, "content": content or [text_item(FAILED)], "is_error": True}
    return {**made, "content": content} if content else made


def _followed(said: list[Said]) -> list[Said]:
    """Without the thoughts at the end of an assistant's message: something has to follow them there."""
    kept: list[Said] = []
    for role, item in reversed(said):
        if item["type"] not in _THOUGHTS or (kept and kept[-1][0] == "assistant"):
            kept.append((role, item))
    return kept[::-1]


def _messages(said: list[Said]) -> list[AnthropicMessage]:
    if not said:
        return []
    opening = [] if said[0][0] == "user" else [("user", text_item(OPENING))]
    last = said[-1][1]
    # White space at the end of an assistant's last text is refused: the model is to go on behind it.
    ending = said[-1:] if said[-1][0] == "user" else [("assistant", text_item(str(last["text"]).rstrip()))]
    joined = groupby([*opening, *said[:-1], *ending], key=lambda one: one[0])
    return [{"role": role, "content": [item for _, item in found]} for role, found in joined]


def _item(part: Part, read_bytes: ReadBytes) -> Item | None:
    ready = loaded(part, read_bytes)
    if ready is None or ready.type == "audio":
        return None
    source = _source(ready, read_bytes)
    if source is None:
        return None
    if ready.type == "image":
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, **({} if ready.name is None else {"title": ready.name})}


def _source(ready: Part, read_bytes: ReadBytes) -> Item | None:
    if ready.content is None:
        fetched = ready.type == "image" or ready.mime_type == PDF or str(ready.url).lower().endswith(".pdf")
        return {"type": "url", "url": ready.url} if fetched else None
    if ready.mime_type in (IMAGES if ready.type == "image" else {PDF}):
        return {"type": "base64", "media_type": ready.mime_type, "data": encoded(ready, read_bytes)}
    text = _plain_text(ready.content) if ready.type == "file" else None
    return {"type": "text", "media_type": "text/plain", "data": text} if text else None


def _plain_text(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if text.strip() and "\0" not in text else None
