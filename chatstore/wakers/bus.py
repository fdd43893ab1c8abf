"""The seam between a store on a server and what carries notices from the process that commits to all others.

Telling and hearing belong together: who tells on one bus is not heard on another. What a bus loses, or is late with,
is found by the hub's own looks; so none of this raises, and none makes a writer wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Protocol

from chatstore.wakers import Waker

OFTEN: Final = 0.02
SELDOM: Final = 0.5
"""Seconds between looks while a bus does not work: after a commit, and once it has been quiet for some time."""


class Bus(Protocol):
    """One per process and store. Whatever it opens, it opens when it is first used."""

    def behind_commit(self, contexts: Collection[str]) -> tuple[str, list[str]] | None:
        """The statement, with its values, that tells of a commit if it is sent right behind that; None where there is
        none, or none is due: then `tell`."""

    def tell(self, contexts: Iterable[str]) -> None:
        """Has it told, soon, that these contexts were written to. From any thread."""

    def waker(self) -> Waker:
        """Begins to hear. One that does not hear looks for changes, and everything is looked at once it hears again."""

    def close(self) -> None:
        """Tells what there is to tell, and gives back what it holds."""
