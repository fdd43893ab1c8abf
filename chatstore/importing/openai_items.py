"""Items of OpenAI's Responses, as agents keep them, and the blocks that they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chatstore.errors import InvalidInput
from chatstore.importing.contents import call, content_of, first_with, result
from chatstore.importing.values import as_text, name_of
from chatstore.model import JsonValue
from chatstore.recorders import Put
from chatstore.recorders.shared.response_items import Said, result_of, said_by

_CONTENTS = ("content", "summary")


def blocks_of(item: dict[str, JsonValue], **noted: JsonValue) -> list[Put]:
    """The blocks of an item, the first with the item itself."""
    if not isinstance(item.get("type", ""), str):
        raise InvalidInput("its `type` is no text")
    try:
        made = [*_message(item)] if "role" in item else [*_said(item), *_result(item)]
    except (TypeError, ValueError, AttributeError) as error:  # the recorder's mapping is for items as they should be
        raise InvalidInput(f"a member of it has another type than items have ({error})") from error
    for put in made[1:]:
        put.data = {**(put.data or {}), **noted}
    return first_with(made or [Put("item", internal=True)], item=item, **noted)


def _message(item: dict[str, JsonValue]) -> Iterator[Put]:
    """What was said, by whom. Answers are told as the recorder tells them."""
    role = name_of(item["role"])
    if role == "assistant" and isinstance(item.get("content"), list):
        yield from _said({**item, "type": "message"})
        return
    text, parts = content_of(item.get("content"))
    data = {"message_id": item["id"]} if name_of(item.get("id")) else None
    yield Put("message", role or "user", text, data=data, parts=parts)


def _said(item: dict[str, JsonValue]) -> Iterator[Put]:
    sound = {**item, **{name: [*_listed(item.get(name))] for name in _CONTENTS if name in item}}
    for said in said_by(sound):
        if said.type == "function_call":
            yield _call(said)
        elif said.text is not None or said.parts or said.keep:
            role = None if said.type == "status" else "assistant"
            data = {**said.data, **({"message_id": item["id"]} if said.type == "message" and "id" in item else {})}
            yield Put(said.type, role, as_text(said.text), data=data, parts=said.parts)


def _call(said: Said) -> Put:
    more = {name: value for name, value in said.data.items() if name not in ("name", "call_id")}
    return call(said.data.get("name"), said.text or "", said.call_id, data=more)


def _result(item: dict[str, JsonValue]) -> Iterator[Put]:
    found = result_of(item)
    if found is None:
        return
    text, parts = found.text, []
    if isinstance(output := item.get("output"), list):
        said, others = content_of(output)
        texts = [said, *(part.text for part in others if part.text is not None)]
        parts = [part for part in others if part.text is None]
        text = "\n".join(filter(None, texts)) if parts else text
    data: dict[str, Any] = found.data
    yield result(text, data["name"], data["call_id"], bool(data["is_error"]), parts=parts)


def _listed(content: JsonValue) -> Iterator[JsonValue]:
    """A list of objects, as it should be: text alone is one that was said."""
    if isinstance(content, str):
        yield {"type": "output_text", "text": content}
    for one in content if isinstance(content, list) else ():
        if isinstance(one, dict) and isinstance(one.get("text", ""), str):
            yield one
