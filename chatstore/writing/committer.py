"""The committer: all writes of one process to one store, committed in groups.

Writes wait in a queue. One caller at a time has the lead: it commits everything that waits, in one transaction, and
gives each caller its own answer or its own error. No caller owns the transaction, so none can leave it open by being
cancelled.

A sync caller leads on its own thread, so a lone append never changes threads. On an event loop a few writes that
have to wait for nothing, neither for the disk nor for a lock, are committed on the loop itself, which takes less than
to hand them over; all others are led by one thread of the committer's.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Literal, TypeVar, get_args
from weakref import WeakSet

from chatstore.databases.base import Database
from chatstore.errors import StoreClosed
from chatstore.finalizing import answered, finalizes
from chatstore.operations.rows import Cursors
from chatstore.writing.groups import FEW, Announce, GroupWriter
from chatstore.writing.pending import UNKNOWN, Pending, Write, hand_over, settle

T = TypeVar("T")

Durability = Literal["token", "message", "full"]
DURABILITIES: Final[tuple[str, ...]] = get_args(Durability)
"""Which commits are synced to the disk: none; those that finish or change something whole; every one."""

GROUP = 1_000
"""Writes in one transaction, at most."""


class Committer:
    """Commits the writes of one process to one database; `announce` is told what each commit changed."""

    def __init__(self, database: Database, cursors: Cursors, announce: Announce, durability: str) -> None:
        self._database = database
        self._writer = GroupWriter(database, cursors, announce)
        self._durability = durability
        self._coming: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._waiting: deque[Pending[Any]] = deque()
        self._lead = threading.Lock()
        self._starting = threading.Lock()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._over = False

    def run(self, write: Write[T], *, synced: bool = True, context: str | None = None) -> T:
        """Commits a write and returns its answer, leading if nobody does. `context`: the one that it is about.

        `synced=False`: it finishes nothing, so that with the durability "message" it need not survive a power cut.
        """
        if finalizes():
            return answered(partial(self.run, write, synced=synced, context=context))
        pending: Pending[T] = Pending(write, self._syncs(synced), context=context)
        self._waiting.append(pending)
        try:
            with self._lead:
                # Who had to wait for the lead finds, as a rule, that his write was committed with the leader's.
                while not pending.settled:
                    self._commit_waiting()
                self._writer.checkpoint()
        except BaseException:
            pending.withdrawn = True
            raise
        return pending.result()

    def run_all(
        self, writes: Iterable[tuple[Write[object], str | None]], *, synced: bool = True
    ) -> list[Exception | None]:
        """Commits several writes, each with its context, together where that can be, and returns the error of each."""
        pendings = [Pending(write, self._syncs(synced), context=context) for write, context in writes]
        for pending in pendings:
            self._waiting.append(pending)
        with self._lead:
            while not all(pending.settled for pending in pendings):
                self._commit_waiting()
            self._writer.checkpoint()
        return [pending.error for pending in pendings]

    async def post(self, write: Write[T], *, synced: bool = True, size: int = UNKNOWN, context: str | None = None) -> T:
        """`run` for an event loop. Cancelled before its turn, the write is withdrawn; after it, it is stored.

        `size`: about how many small blocks' work it is (see `pending.size_of`).
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        pending = Pending(write, self._syncs(synced), future, size, context)
        self._waiting.append(pending)
        try:
            if self._closed:  # perhaps not before the write was seen, and committed: the close knows
                await asyncio.to_thread(self._answer)
            elif pending.synced or size > FEW or self._database.commits_wait:
                self._call_thread()
            elif loop not in self._coming:  # once for all tasks that write before the loop comes round
                self._coming.add(loop)
                loop.call_soon(self._lead_on, loop)
            return await future
        except asyncio.CancelledError:
            pending.withdrawn = True
            raise

    def scrub(self, patience: float | None = None) -> None:
        """Leaves no byte of what was deleted in the files. Raises StoreBusy where somebody reads for too long: longer
        than so many seconds, or than the busy timeout."""
        with self._lead:
            self._writer.scrub(patience)

    def is_free(self) -> bool:
        """Whether a write would have to wait for nobody now."""
        if not self._lead.acquire(blocking=False):
            return False
        try:
            return self._writer.is_free()
        finally:
            self._lead.release()

    def close(self) -> None:
        """Commits what waits, then takes no more."""
        with self._lead:
            if self._closed:
                return
            self._closed = True
            try:
                while self._waiting:
                    self._commit_waiting()
            finally:
                self._over = True
        if self._thread is not None:
            # Behind the lead, which the thread may have to take once more before it ends.
            self._calls.put(False)
            self._thread.join()
        self._writer.close()

    def _answer(self) -> None:
        """Waits for the lead, and sees to it that all who wait have their answers."""
        with self._lead:
            while self._waiting:
                self._commit_waiting()

    def _syncs(self, synced: bool) -> bool:
        # A process may outlive its server, and would write on behind text that the server forgot.
        finished = synced or self._database.survived_by_writers
        return self._durability == "full" or (finished and self._durability == "message")

    def _lead_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commits on an event loop what waits, if that is little and nothing has to be waited for."""
        self._coming.discard(loop)
        if self._lead.acquire(blocking=False):
            try:
                self._commit_waiting(patient=False)
            finally:
                self._lead.release()
        if self._waiting or self._database.wants_checkpoint():
            self._call_thread()

    def _call_thread(self) -> None:
        if self._thread is None:
            self._start()
        self._calls.put(True)

    def _start(self) -> None:
        with self._starting:  # not the lead, which may be taken for as long as another process keeps the lock
            if self._thread is None:
                # A daemon: Python waits for all other threads before it runs what closes the stores at exit, and which
                # ends this one (see `tests/faults/test_endings.py`).
                self._thread = threading.Thread(target=self._serve, name="chatstore-committer", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while self._calls.get():
            while self._waiting:
                with self._lead:
                    self._commit_waiting()
            with self._lead:
                self._writer.checkpoint()

    def _commit_waiting(self, *, patient: bool = True) -> None:
        """Commits the writes at the front of the queue; impatient, only if nothing has to be waited for.

        They stay in it until they have their answers: a leader that a signal interrupts leaves nothing behind that
        the next one would not take up.
        """
        group = self._front()
        todo = [pending for pending in group if not pending.settled and not pending.withdrawn]
        if self._over:
            settle(todo, StoreClosed("the store is closed; open it again to write"))
        elif todo and not self._writer.commit(todo, patient=patient):
            return
        hand_over(group)
        # One by one, and no new queue: callers add behind it at this moment.
        for _ in group:
            self._waiting.popleft()

    def _front(self) -> list[Pending[Any]]:
        """What is committed next, together."""
        group: list[Pending[Any]] = []
        contexts: set[str | None] = set()
        for place in range(min(len(self._waiting), GROUP)):
            contexts.add(self._waiting[place].context)
            # Bounded, for the table of a server's locks is everybody's.
            if len(contexts) > self._database.holds_at_once:
                break
            group.append(self._waiting[place])
        return group
