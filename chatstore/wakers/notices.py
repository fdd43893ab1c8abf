"""Notices: what a process tells the others of a store, whatever carries it: who wrote, and to which contexts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple
from uuid import uuid4

GATHER: Final = 0.002
"""Seconds between two notices, at least."""
MOST: Final = 600
"""Marks in one notice, at most: it takes fewer than 8,000 bytes. Of more contexts it says that all are to be looked
at."""
EVERYTHING: Final = "*"


class Notice(NamedTuple):
    """Who wrote, and the marks of the contexts; None: of more than fit in a notice."""

    sender: str
    marks: frozenset[str] | None


def sender() -> str:
    """A name for this process as one that sends."""
    return uuid4().hex[:12]


def write(sender: str, marks: Collection[str] | None) -> str:
    """A notice as text."""
    return " ".join([sender, *([EVERYTHING] if marks is None or len(marks) > MOST else marks)])


def read(payload: str) -> Notice:
    """The notice of a text. Raises ValueError for a text that is none."""
    name, *marks = payload.split()
    return Notice(name, None if EVERYTHING in marks else frozenset(marks))


class Gathered:
    """Marks, until they are taken; of more than fit in a notice it keeps that all are to be looked at."""

    def __init__(self) -> None:
        self._marks: set[str] = set()
        self._everything = False

    def __bool__(self) -> bool:
        return self._everything or bool(self._marks)

    def add(self, marks: Iterable[str] | None) -> None:
        """Adds some, or None: all."""
        if marks is not None:
            self._marks.update(marks)
        if marks is None or len(self._marks) > MOST:
            self._everything = True
            self._marks.clear()

    def take(self) -> frozenset[str] | None:
        """What there is, which it forgets; None: all."""
        taken = None if self._everything else frozenset(self._marks)
        self._everything = False
        self._marks.clear()
        return taken
