"""How much of the log is read at once: blocks may have any size, and memory is bounded by what they weigh."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore.changes import BlockAdded, BlockClosed, BlockUpdated, Change, TextAppended
from chatstore.model import JsonValue, Part
from chatstore.operations.weighing import ENOUGH

FIRST, LONGEST = 16, 256
"""Changes in the first page and in the longest."""


class PageSize:
    """The length of the next page: longer while pages weigh little, shorter when they weigh much."""

    __slots__ = ("limit",)

    def __init__(self) -> None:
        self.limit: int = FIRST

    def learn(self, changes: Iterable[Change], *, is_full: bool = False) -> None:
        """Takes account of a page; `is_full`: it was ended by what it weighs."""
        light = not is_full and sum(map(weight, changes)) < ENOUGH
        self.limit = min(2 * self.limit, LONGEST) if light else max(self.limit // 2, 1)


def weight(change: Change) -> int:
    """About how many characters a change keeps in memory."""
    if isinstance(change, TextAppended):
        return len(change.text)
    if not isinstance(change, (BlockAdded, BlockUpdated, BlockClosed)):
        return 0
    block = change.block
    return len(block.text) + _weight(block.data) + _weight(block.usage) + sum(map(_weight_of_part, block.parts))


def _weight_of_part(part: Part) -> int:
    return 100 + len(part.text or "") + len(part.url or "")


def _weight(value: JsonValue) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _weight(member) for key, member in value.items())
    return sum(map(_weight, value)) if isinstance(value, list) else 8
