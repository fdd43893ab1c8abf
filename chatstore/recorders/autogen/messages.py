"""What the messages and events of AutoGen hold, as blocks have it."""

from __future__ import annotations

from chatstore.model import JsonValue, Part
from chatstore.recorders.machine.script import as_json
from chatstore.recorders.shared.lenient import Lenient
from chatstore.recorders.shared.media import picture


def text_of(event: Lenient) -> str:
    """What an event says, or how it tells itself."""
    if isinstance(event.content, str):
        return event.content
    return str(event.to_text()) if callable(event.to_text) and event.content is not None else ""


def content_of(message: Lenient) -> tuple[str, list[Part]]:
    """Text and parts of a message: text that it begins with is its text."""
    content = message.content
    if not isinstance(content, list):
        return text_of(message), []
    parts = [Part(type="text", text=one) if isinstance(one, str) else picture(Lenient(one).image) for one in content]
    known = [part for part in parts if part is not None]
    if known and known[0].text is not None:
        return known[0].text, known[1:]
    return "", known


def data_of(event: Lenient) -> dict[str, JsonValue]:
    """Its id, its type where it is no plain text, and what somebody noted on it."""
    data: dict[str, JsonValue] = {"message_id": event.id}
    if event.kind != "TextMessage":
        data["type"] = event.kind
    if event.metadata:
        data["metadata"] = as_json(event.metadata)
    if event.kind.startswith("StructuredMessage"):
        data["content"] = as_json(event.content)
    return data


def usage_of(event: Lenient) -> dict[str, JsonValue] | None:
    """What the model took for it."""
    if event.models_usage is None:
        return None
    usage = Lenient(event.models_usage)
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
