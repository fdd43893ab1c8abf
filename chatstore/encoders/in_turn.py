"""Texts that grow at the same time, told one after the other, for protocols that have one message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

SEPARATOR: Final = "\n\n"
"""What stands between two of them."""


class InTurn:
    """Tells the text that began first as it grows; those that others say meanwhile wait until it has ended."""

    def __init__(self) -> None:
        self._waiting: dict[int, str] = {}
        self._ended: set[int] = set()
        self._last: int | None = None

    def begin(self, index: int) -> None:
        """A text begins."""
        self._waiting[index] = ""

    def grow(self, index: int, piece: str) -> Iterator[str]:
        """It goes on; what is to be told now."""
        self._waiting[index] += piece
        return self._tell()

    def end(self, index: int) -> Iterator[str]:
        """It has ended; what is to be told now."""
        self._ended.add(index)
        return self._tell()

    def _tell(self) -> Iterator[str]:
        while self._waiting:
            index = min(self._waiting)
            if self._waiting[index]:
                between = SEPARATOR if self._last not in (None, index) else ""
                told, self._waiting[index], self._last = between + self._waiting[index], "", index
                yield told
            if index not in self._ended:
                return
            self._ended.discard(index)
            del self._waiting[index]
