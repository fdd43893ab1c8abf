"""What a store's core asks of a database. One module for each kind of them decides how that is done there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine

from chatstore.operations.histories import History
from chatstore.operations.transaction import Proof
from chatstore.wakers import Waker

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Known = dict[str, History | None]
"""Histories by the id of their context, as they are now; None where there is none."""


class Database(Protocol):
    """One open store's database: connections to read, one to write, and the signs of other processes' commits."""

    location: str
    """What names it, without passwords: for messages, and to know it again in this process."""
    identity: str
    """The store's own random name."""
    readers: Engine
    commits_wait: bool
    """Whether every commit waits for something, so that none may be made on an event loop."""
    holds_at_once: int
    """Histories that one transaction may write to, at most, so that there is room to hold those of others."""
    survived_by_writers: bool
    """Whether what was not synced may be lost while the processes that wrote it live on."""
    survives_fork: bool
    """Whether a forked child may open again what its parent has open."""
    looks_every: float
    """Seconds between two looks for what others committed, whatever the wake-ups do."""
    watches_every: float
    """Seconds between two looks for dead processes."""

    @property
    def path(self) -> Path | None:
        """The file it is, where it is one."""

    def async_readers(self) -> AsyncEngine:
        """Connections to read from an event loop; they belong to that loop, and the caller disposes of them."""

    def writer(self) -> Connection:
        """The connection of the committer, who closes it."""

    def begin(self, conn: Connection, *, synced: bool, patient: bool = True) -> bool:
        """Begins a transaction that writes; `synced`: its commit will return when it is on the disk. False when that
        has to be waited for, and the caller is not patient."""

    def hold(self, conn: Connection, contexts: Iterable[str]) -> Known | None:
        """Holds histories by their contexts' ids until the transaction ends, and gives them as they are then; None
        where the transaction holds everything already."""

    def commit(self, conn: Connection, contexts: Collection[str] = (), proof: Proof | None = None) -> None:
        """Commits: from here on the writes are visible, and safe from the death of any process. Other processes learn
        that these contexts were written to."""

    def rollback(self, conn: Connection) -> None:
        """Ends the transaction, if one is open."""

    def in_transaction(self, conn: Connection) -> bool:
        """Whether a transaction is open."""

    def alone(self, conn: Connection) -> bool:
        """Whether no other connection has committed anything since it was asked last. Asked within a transaction."""

    def answers(self, error: Exception) -> bool:
        """Whether an error of a commit says that it was not made; or else nobody knows."""

    def heals(self, error: Exception) -> bool:
        """Whether an error passes by itself: the same is to be tried again, on a new connection if need be."""

    @property
    def patience(self) -> float:
        """Seconds for which it is tried again."""

    def hurry(self) -> None:
        """Waits hardly any more for others: the process ends."""

    def wants_checkpoint(self) -> bool:
        """Whether something should be done about the database's own log."""

    def checkpoint(self, conn: Connection) -> None:
        """Does it. Not within a transaction."""

    def scrub(self, conn: Connection, patience: float | None = None) -> None:
        """Leaves nothing of what was deleted in files of ours. `patience`: seconds for which others are waited for."""

    def give_back(self, conn: Connection) -> None:
        """Gives some room that is free back, within the transaction that is open."""

    def version(self, conn: Connection) -> object:
        """What differs once another connection committed; comparable on one connection only."""

    def moved(
        self, conn: Connection, contexts: Sequence[str], since: int | None
    ) -> tuple[dict[str, int] | None, int | None]:
        """The heads of histories that may have moved, by their contexts' ids or what is left of those, and what to ask
        the next time with; None: all may have."""

    def waker(self, wake: str) -> Waker:
        """The waker of that name."""

    def is_in_place(self) -> bool:
        """Whether what was opened is still what its location names."""

    def check_in_place(self, conn: Connection | None = None) -> None:
        """Raises StoreReplaced if it is not; with a connection, by what that reads too."""

    def translate(self, error: Exception) -> Exception:
        """The error of our tree for one of the driver's, with that as its cause; any other error as it is."""

    def close(self) -> None:
        """Closes the connections that no one has out."""


class Patience:
    """How often, and for how long, what failed is tried again."""

    _FIRST, _LONGEST = 0.02, 1.0

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._deadline: float | None = None
        self._pause = self._FIRST

    def pause(self, error: Exception) -> float | None:
        """Seconds to wait before the next try; None if there should be none."""
        if not self._database.heals(error):
            return None
        now = self._clock()
        if self._deadline is None:
            self._deadline = now + self._database.patience
        if now >= self._deadline:
            return None
        pause, self._pause = self._pause, min(2 * self._pause, self._LONGEST)
        return pause
