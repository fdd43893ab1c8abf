"""What providers and frameworks write as the content of a message: text, and lists of items in their many spellings."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Final

from chatstore import checks
from chatstore.formats import openai_parts
from chatstore.importing.values import name_of, text_of
from chatstore.limits import DEFAULT
from chatstore.model import JsonValue, Part, PartType
from chatstore.recorders import Put

_TEXTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})
_KINDS: Final[dict[str, PartType]] = {
    **dict.fromkeys(("image", "input_image", "image_url", "media"), "image"),
    **dict.fromkeys(("audio", "input_audio", "audio_url"), "audio"),
    **dict.fromkeys(("file", "input_file", "document", "video", "binary"), "file"),
}
_PLACES: Final = ("image_url", "file_url", "url", "data", "base64", "file_data", "value")
"""Where an item, or what is in it, has its address, its `data:` URL or its base64."""
_TYPES: Final = ("mime_type", "media_type", "mimeType")


def content_of(content: JsonValue) -> tuple[str, list[Part]]:
    """Text and parts of a content. Text that a list begins with is the text of the block."""
    if not isinstance(content, list):
        return (content, []) if isinstance(content, str) else ("", [])
    parts = [part for part in map(part_of, content) if part is not None]
    if parts and parts[0].text is not None:
        return parts[0].text, parts[1:]
    return "", parts


def part_of(item: JsonValue) -> Part | None:
    """The part that an item of a content is; None for what is none."""
    if isinstance(item, str):
        return Part(type="text", text=item)
    kind = text_of(item.get("type")) if isinstance(item, dict) else None
    if not isinstance(item, dict) or kind is None:
        return None
    if kind in _TEXTS:
        text = text_of(item.get("text", item.get("refusal")))
        return None if text is None else Part(type="text", text=text)
    if kind not in _KINDS:
        return None
    return openai_parts.to_part(item) if kind == "input_audio" else _located(item, _KINDS[kind])


def call(name: JsonValue, arguments: JsonValue, call_id: JsonValue, **options: Any) -> Put:
    """A function call; its arguments as text, where they came so, or as JSON. Results find it by its id."""
    depth = DEFAULT.depth
    text = arguments if isinstance(arguments, str) else checks.json_text(arguments, "the arguments", depth)
    parsed = checks.parsed_json(text, depth) if isinstance(arguments, str) else arguments
    named = {"name": name_of(name) or "unknown", "arguments": parsed, "call_id": name_of(call_id)}
    data = {**options.pop("data", {}), **named}
    return Put(
        "function_call",
        "assistant",
        "" if arguments is None else text,
        ("call", name_of(call_id)),
        data=data,
        **options,
    )


def result(text: str, name: JsonValue, call_id: JsonValue, is_error: bool, **options: Any) -> Put:
    """The result of the call with this id."""
    named = {"call_id": name_of(call_id), "name": name_of(name), "is_error": is_error}
    data = {**options.pop("data", {}), **named}
    return Put("function_result", "tool", text, data=data, parent=("call", name_of(call_id)), **options)


def first_with(puts: Iterable[Put], **data: JsonValue) -> list[Put]:
    """The blocks of an entry, the first with more data."""
    made = list(puts)
    if made:
        own = made[0].data if isinstance(made[0].data, dict) else {}
        made[0].data = {**own, **data}
    return made


def _located(item: dict[str, JsonValue], type: PartType) -> Part | None:
    """An image, audio or file by its address, or with the bytes of its base64."""
    inside = next((item[name] for name in ("source", item["type"], "file") if isinstance(item.get(name), dict)), item)
    fields: dict[str, Any] = {**item, **inside}
    place = next((found for name in _PLACES if isinstance(found := fields.get(name), str) and found), None)
    mime_type = next((found for name in _TYPES if (found := name_of(fields.get(name)))), None)
    name = name_of(fields.get("filename", fields.get("name")))
    if place is None:
        return None
    type = _kind(type, mime_type)
    inline = openai_parts.data_url(place)
    if inline is None and (place.startswith("data:") or "://" in place[:20]):
        return Part(type=type, mime_type=mime_type, url=place, name=name)
    told, encoded = inline or (mime_type, place)
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return Part(type=type, mime_type=mime_type, url=place, name=name) if len(place) < checks.MAX_NAME else None
    return Part(type=_kind(type, told), mime_type=told, content=content, name=name)


def _kind(type: PartType, mime_type: str | None) -> PartType:
    kinds: dict[str, PartType] = {"image": "image", "audio": "audio"}
    return kinds.get((mime_type or "").partition("/")[0], type if mime_type is None else "file")
