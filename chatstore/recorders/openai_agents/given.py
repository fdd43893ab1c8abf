"""What a session was given by one call, as one block: the items as they were, and the blocks that show them.

Base64 is taken out of the items, and is bytes in the parts of the block; an item that is no JSON for the store is its
text. Items that were taken back again are tags of the block: nothing that was stored changes.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from chatstore.formats.openai_parts import data_url
from chatstore.model import Block, BlockDraft, JsonValue, Part, Tag
from chatstore.recorders.openai_agents.items import is_storable

ITEMS: Final = "session_items"
TAKEN: Final = "session_item_taken"
CLEARED: Final = "session_cleared"
MOST: Final = 500
"""Items in one block; each of them can become a tag."""
_TAKEN_TAG: Final = "session_item_taken"
_LEAST: Final = 1_000
"""Characters of base64 from which on it is kept as bytes."""
_ENCODED: Final = ("data", "file_data", "result", "partial_image_b64", "image_url")

ReadBytes = Callable[[Part], Awaitable[bytes]]


def items_draft(items: Sequence[Any], blocks: Sequence[str | int | None]) -> BlockDraft:
    """The block of some items, each with the block that shows it: its id, or how many blocks before this one it stands,
    as one that is stored with it has no id yet; None where none shows it."""
    parts: list[Part] = []
    stored = [_stored(item, parts) for item in items]
    return BlockDraft(type=ITEMS, internal=True, data={"items": stored, "blocks": [*blocks]}, parts=parts)


def left_of(block: Block) -> list[int]:
    """The places of the items that were not taken back."""
    taken = {tag.name for tag in block.tags if tag.kind == _TAKEN_TAG}
    return [place for place in range(len(block.data["items"])) if str(place) not in taken]


def taken_tag(place: int) -> Tag:
    """What says that the item at a place was taken back."""
    return Tag(kind=_TAKEN_TAG, name=str(place))


async def item_of(block: Block, place: int, read_bytes: ReadBytes) -> Any:
    """An item as it was given."""
    stored = block.data["items"][place]
    if "json" in stored:
        return json.loads(stored["json"])
    item = json.loads(json.dumps(stored["item"]))  # blocks are shared: whoever asks may change what is given out
    for path, number, prefix in stored.get("bytes", ()):
        content = await read_bytes(block.parts[number])
        _put(item, path, prefix + b64encode(content).decode())
    return item


def _stored(item: Any, parts: list[Part]) -> dict[str, JsonValue]:
    if not is_storable(item):
        return {"json": json.dumps(item)}
    found = [(path, text, held) for path, text in _texts(item, []) if (held := _bytes_of(path, text)) is not None]
    if not found:
        return {"item": item}
    item, places = json.loads(json.dumps(item)), []
    for path, _, (prefix, content, mime_type) in found:
        _put(item, path, "")
        places.append([path, len(parts), prefix])
        parts.append(Part(type="file", mime_type=mime_type, content=content))
    return {"item": item, "bytes": places}


def _texts(value: Any, path: list[Any]) -> Iterator[tuple[list[Any], str]]:
    if isinstance(value, str):
        if len(value) >= _LEAST:
            yield path, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, [*path, name])
    elif isinstance(value, (list, tuple)):
        for place, one in enumerate(value):
            yield from _texts(one, [*path, place])


def _bytes_of(path: list[Any], text: str) -> tuple[str, bytes, str | None] | None:
    """What stands before base64, its bytes, and their type; None of a text that could not be made of these again."""
    if not path or path[-1] not in _ENCODED:
        return None
    type, encoded = data_url(text) or (None, text)
    try:
        content = b64decode(encoded, validate=True)
    except ValueError:
        return None
    if b64encode(content).decode() != encoded:
        return None
    return text[: len(text) - len(encoded)], content, type


def _put(item: Any, path: list[Any], text: str) -> None:
    for step in path[:-1]:
        item = item[step]
    item[path[-1]] = text
