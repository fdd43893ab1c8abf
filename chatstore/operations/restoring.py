"""Putting a damaged row back as it was, where its checksum can prove that.

Most damage is one bit. So a row is tried with each of its bits turned, one at a time, until the checksum fits. That a
wrong one should fit by chance is less likely than one in ten thousand for a row of MOST_BYTES.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from chatstore.operations.prepared import Row

MOST_BYTES: Final = 16_000
"""Bytes of text of a row up to which its bits are tried, which takes a few seconds."""
_BITS: Final = 63


def restored(row: Row, columns: Iterable[int], fits: Callable[[Row], bool]) -> Row | None:
    """The row with one bit turned in one of these columns, so that it fits; None where there is none."""
    columns = tuple(columns)
    if sum(len(row[at]) for at in columns if isinstance(row[at], (str, bytes))) > MOST_BYTES:
        return None
    for at in columns:
        for value in _turned(row[at]):
            tried = (*row[:at], value, *row[at + 1 :])
            if fits(tried):
                return tried
    return None


def readable(value: Any) -> str | None:
    """Text that can be stored again."""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def json_or_none(value: Any) -> str | None:
    """JSON that can be stored again."""
    text = readable(value)
    try:
        json.loads(text or "")
    except ValueError:
        return None
    return text


def is_id(value: Any) -> bool:
    """Whether a value is the bytes of an id."""
    return isinstance(value, bytes) and len(value) == 16


def is_time(value: Any, now: int) -> bool:
    """Whether a value is a time that has passed."""
    return isinstance(value, int) and 0 < value <= now


def _turned(value: Any) -> Iterator[Any]:
    if isinstance(value, int):
        yield from (value ^ 1 << bit for bit in range(_BITS))
    elif isinstance(value, str):
        yield from _turned_text(value.encode(errors="surrogateescape"))
    elif isinstance(value, bytes):
        yield from _turned_bytes(value)


def _turned_text(raw: bytes) -> Iterator[str]:
    for turned in _turned_bytes(raw):
        try:
            yield turned.decode()
        except UnicodeDecodeError:
            continue


def _turned_bytes(raw: bytes) -> Iterator[bytes]:
    turned = bytearray(raw)
    for at in range(len(raw)):
        for bit in range(8):
            turned[at] ^= 1 << bit
            yield bytes(turned)
            turned[at] ^= 1 << bit
