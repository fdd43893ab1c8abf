"""How large what a store takes may be."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from chatstore.errors import InvalidInput, LimitExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a store takes, for `ChatStore(…, limits=Limits(block_bytes=1_000_000))`.

    What is more raises LimitExceeded, which names the limit, and nothing of it is stored. Limits hold for what this
    process writes: they are not kept in the file, and what is stored already stays as it is.
    """

    block_bytes: int = 64 * 1024 * 1024
    """Bytes of one block: its text and JSON together, as UTF-8, and each of its parts. At most 900,000,000: SQLite
    ends at a row of 1,000,000,000."""
    batch: int = 100_000
    """Blocks in one append."""
    tags: int = 1_000
    """Tags on one block or history, and context keys of one history."""
    parts: int = 1_000
    """Parts of one block."""
    depth: int = 100
    """Levels of nesting in JSON. At most 200: Python's own recursion ends at some hundreds."""
    name: int = 1_000
    """Characters in a context id and every other name: type, role, author, run, key, a tag's kind and name. From 64,
    which the store's own need, to 1,000: names are in indexes, and reads ask for names of that length."""
    subscribers: int = 10_000
    """Subscriptions that one ChatStore has open at a time."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (least, most) = getattr(self, field.name), _BOUNDS.get(field.name, (1, 1_000_000_000))
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                takes = f"takes an integer from {least} to {most:,}"
                raise InvalidInput(f"Limits({field.name}=…) {takes}, and not {value!r}")


_BOUNDS: Final = {"block_bytes": (1, 900_000_000), "depth": (1, 200), "name": (64, 1_000)}

DEFAULT: Final = Limits()


def exceeded(what: str, limit: str, most: int) -> LimitExceeded:
    """The error for more than a limit allows."""
    return LimitExceeded(
        f"{what}; at most {most:,}, which ChatStore(…, limits=Limits({limit}=…)) sets", limit=limit, value=most
    )
