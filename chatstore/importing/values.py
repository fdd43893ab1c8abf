"""JSON of others, of which nothing is sure: lines, documents, members of the type that they should have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO, Final

from chatstore.checks import MAX_NAME
from chatstore.errors import InvalidInput
from chatstore.formats import jsonl
from chatstore.formats.jsonl import whole_lines
from chatstore.model import JsonValue

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LONGEST_KEY: Final = 200


def lines(raw: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file with their numbers, without blank ones; None for one that is too long."""
    for number, line in enumerate(whole_lines(raw), 1):
        if line is not None and number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line is None or line.strip():
            yield number, line


def document(raw: BinaryIO) -> JsonValue:
    """A file that is one JSON value."""
    content = raw.read(jsonl.LONGEST + 1)
    if len(content) > jsonl.LONGEST:
        raise InvalidInput(f"more than {jsonl.LONGEST:,} bytes of JSON in one piece")
    return parsed(content.removeprefix(_BYTE_ORDER_MARK))


def parsed(content: bytes | str | None) -> JsonValue:
    """What JSON says; text as a database gave it. Raises an InvalidInput that says why it is none."""
    if content is None:
        raise InvalidInput(f"a line of more than {jsonl.LONGEST:,} bytes")
    return jsonl.parsed(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def an_object(value: JsonValue, what: str) -> dict[str, JsonValue]:
    """The value, if it is an object. Raises an InvalidInput with what it should be."""
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is {type(value).__name__}, not a JSON object")
    return value


def objects(value: JsonValue) -> list[dict[str, JsonValue]]:
    """The objects in a list; none where there is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def inner(value: JsonValue, name: str) -> dict[str, JsonValue]:
    """The object that is a member; an empty one where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def text_of(value: JsonValue) -> str | None:
    """The value, if it is text."""
    return value if isinstance(value, str) else None


def name_of(value: JsonValue) -> str | None:
    """The value, if it can be a name in a block."""
    valid = isinstance(value, str) and 0 < len(value) <= MAX_NAME and "\0" not in value and _is_utf8(value)
    return value if valid else None


def as_text(value: JsonValue) -> str:
    """A value as text: text as it is, all else as JSON."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def key_of(*names: Any) -> str:
    """A key that names an entry by ids of its source, of any length and type."""
    key = "/".join(map(str, names))
    return key if len(key) <= _LONGEST_KEY and name_of(key) else digest_of(key.encode("utf-8", "surrogatepass"))


def digest_of(content: bytes) -> str:
    """A name for content that has no id."""
    return sha256(content).hexdigest()[:32]


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
