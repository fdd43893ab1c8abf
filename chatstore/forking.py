"""The process that something belongs to: SQLite's connections and locks do not survive a fork."""

from __future__ import annotations

import os

from chatstore.errors import ForkedStore


class Owner:
    """Remembers the process it was made in."""

    __slots__ = ("_process",)

    def __init__(self) -> None:
        self._process = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this process inherited it."""
        return os.getpid() != self._process

    def check(self) -> None:
        """Raises ForkedStore in a process that inherited it."""
        if self.forked:
            raise ForkedStore(
                "the store was opened before this process was forked, and what it has open does not survive that;"
                " close it before the fork and open it again in the child, or start the process by spawn"
            )
