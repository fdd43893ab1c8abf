"""Texts, images, audio and files as something that a provider can be sent, or as words that name them."""

from __future__ import annotations

import base64
import binascii
import inspect
from collections.abc import Callable
from typing import TypeAlias

from chatstore.errors import InvalidInput
from chatstore.formats import openai_parts
from chatstore.formats.openai_parts import ReadBytes
from chatstore.model import Block, JsonValue, Part

Item: TypeAlias = dict[str, JsonValue]
Render: TypeAlias = Callable[[Part], Item | None]
"""The content item of an image, audio or file; None for what cannot be sent."""

IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""The types of images that models see."""
PDF = "application/pdf"

_ALIASES = {"image/jpg": "image/jpeg", "audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav"}
_SIGNATURES = (
    (b"\x89PNG\r\n", b"", "image/png"),
    (b"\xff\xd8\xff", b"", "image/jpeg"),
    (b"GIF8", b"", "image/gif"),
    (b"RIFF", b"WEBP", "image/webp"),
    (b"RIFF", b"WAVE", "audio/wav"),
    (b"ID3", b"", "audio/mpeg"),
    (b"%PDF-", b"", PDF),
)
"""How the bytes of a type begin, and what stands at the ninth of them."""


def reader(read_bytes: ReadBytes | None) -> ReadBytes:
    """`read_bytes` of a caller, with an error that says what to do where it is missing or gives no bytes."""

    def read(part: Part) -> bytes:
        if read_bytes is None:
            raise InvalidInput("the blocks have images, audio or files: give read_bytes=store.read_bytes as well")
        content = read_bytes(part)
        if inspect.iscoroutine(content):
            content.close()
        if not isinstance(content, bytes):
            raise InvalidInput(
                f"read_bytes gave {type(content).__name__}, not bytes; with an AsyncChatStore, await the bytes of the"
                " parts first and give a function that looks them up"
            )
        return content

    return read


def items(block: Block, render: Render) -> list[Item]:
    """The content items of a block: its text and its parts, without blank text, which providers refuse.

    What `render` cannot turn into an item is named in words.
    """
    found = [text_item(block.text)]
    for part in block.parts:
        item = text_item(part.text or "") if part.type == "text" else render(part)
        found.append(item or text_item(_named(part)))
    return [item for item in found if item["type"] != "text" or item["text"].strip()]


def text_item(text: str) -> Item:
    """Text as a content item, which OpenAI and Anthropic write alike."""
    return {"type": "text", "text": text}


def nothing(part: Part) -> None:
    """The Render of messages that carry text alone."""


def loaded(part: Part, read_bytes: ReadBytes) -> Part | None:
    """The part with its bytes in it and their type, or with a URL that a provider can fetch; None where it has none."""
    if part.url is None:
        content = read_bytes(part) if part.content is None else part.content
        return _typed(part, content, part.mime_type)
    if part.url.lower().startswith(("https://", "http://")):
        return part
    mime_type, data = openai_parts.data_url(part.url) or (None, "")
    try:
        return None if mime_type is None else _typed(part, base64.b64decode(data), mime_type)
    except (binascii.Error, ValueError):
        return None


def _typed(part: Part, content: bytes, mime_type: str | None) -> Part | None:
    if not content:
        return None
    named = (mime_type or "").split(";")[0].strip().lower() or _guessed(content)
    known = None if named is None else _ALIASES.get(named, named)
    return part.model_copy(update={"url": None, "content": content, "mime_type": known})


def _guessed(content: bytes) -> str | None:
    found = (type for start, ninth, type in _SIGNATURES if content.startswith(start) and content[8:].startswith(ninth))
    return next(found, None)


def _named(part: Part) -> str:
    """Words for a part that cannot be sent."""
    url = None if part.url is None or part.url.startswith("data:") else part.url
    known = part.name or url or part.mime_type
    return f"[{part.type}]" if known is None else f"[{part.type}: {known}]"
