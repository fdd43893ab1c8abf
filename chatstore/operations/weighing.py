"""How much of the log is read at once, by what it weighs: blocks may have any size, and each reader has a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ENOUGH: Final = 500_000
"""Characters of a page, unless its last change alone brings more."""


def weight_of(row: Iterable[object]) -> int:
    """What a row that was read weighs."""
    return sum(len(value) for value in row if isinstance(value, str))
