"""OpenAI content items and parts: text, images, audio and files, with base64 read into bytes.

The items as https://platform.openai.com/docs/api-reference/chat/create has them, and the `…_url` items that other
providers add to them. Base64 becomes bytes only where encoding them again gives the same string.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import TypeAlias

from chatstore.checks import MAX_NAME
from chatstore.model import JsonValue, Part, PartType

ReadBytes: TypeAlias = Callable[[Part], bytes]

_DATA_URL = re.compile(rf"data:([^,\0]{{1,{MAX_NAME}}});base64,(.*)", re.DOTALL)
_NO_MIME_TYPE = "application/octet-stream"
_MIME_TYPES = {"mp3": "audio/mpeg"}
_FORMATS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_URL_TYPES: dict[str, PartType] = {"image_url": "image", "audio_url": "audio"}


def to_part(item: JsonValue) -> Part | None:
    """The part that a content item is; None for an item of another kind."""
    if not isinstance(item, dict) or not isinstance(kind := item.get("type"), str):
        return None
    inner = item.get(kind)
    fields = inner if isinstance(inner, dict) else {}
    if kind in ("text", "refusal"):
        return Part(type="text", text=inner) if isinstance(inner, str) else None
    if kind == "input_audio":
        return audio_part(fields.get("data"), fields.get("format"))
    if kind == "file":
        return _located("file", fields.get("file_data"), fields.get("filename"))
    if kind.endswith("_url"):
        return _located(_URL_TYPES.get(kind, "file"), fields.get("url", inner))
    return None


def audio_part(data: JsonValue, format: JsonValue = None) -> Part | None:
    """The part of base64 audio."""
    content = _decoded(data) if isinstance(data, str) and data else None
    if content is None:
        return None
    named = isinstance(format, str) and 0 < len(format) <= MAX_NAME - len("audio/") and "\0" not in format
    mime_type = _MIME_TYPES.get(str(format), f"audio/{format}") if named else None
    return Part(type="audio", mime_type=mime_type, content=content)


def to_item(part: Part, read_bytes: ReadBytes) -> dict[str, JsonValue]:
    """The content item of a part."""
    if part.type == "text":
        return {"type": "text", "text": part.text}
    if part.type == "image":
        return {"type": "image_url", "image_url": {"url": url(part, read_bytes)}}
    if part.type == "file":
        named = {} if part.name is None else {"filename": part.name}
        return {"type": "file", "file": {"file_data": url(part, read_bytes), **named}}
    if part.url is not None:
        return {"type": "audio_url", "audio_url": {"url": part.url}}
    format = {} if part.mime_type is None else {"format": _format(part.mime_type)}
    return {"type": "input_audio", "input_audio": {"data": encoded(part, read_bytes), **format}}


def url(part: Part, read_bytes: ReadBytes) -> str:
    """The part's own URL, or a `data:` URL of its bytes."""
    if part.url is not None:
        return part.url
    return f"data:{part.mime_type or _NO_MIME_TYPE};base64,{encoded(part, read_bytes)}"


def data_url(url: str) -> tuple[str, str] | None:
    """The type and the base64 of a `data:` URL."""
    match = _DATA_URL.fullmatch(url)
    return None if match is None else (match[1], match[2])


def encoded(part: Part, read_bytes: ReadBytes) -> str:
    """The part's bytes in base64."""
    return base64.b64encode(read_bytes(part) if part.content is None else part.content).decode("ascii")


def _located(type: PartType, location: JsonValue, name: JsonValue = None) -> Part | None:
    if not isinstance(location, str):
        return None
    known = name if isinstance(name, str) and 0 < len(name) <= MAX_NAME and "\0" not in name else None
    mime_type, data = data_url(location) or (None, "")
    content = None if mime_type is None else _decoded(data)
    if content is None:
        return Part(type=type, url=location, name=known)
    return Part(type=type, mime_type=mime_type, content=content, name=known)


def _decoded(data: str) -> bytes | None:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if base64.b64encode(content).decode("ascii") == data else None


def _format(mime_type: str) -> str:
    return _FORMATS.get(mime_type, mime_type.removeprefix("audio/"))
