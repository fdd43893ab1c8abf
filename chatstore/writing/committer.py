"""The committer: all writes of one process to one store, committed in groups.

Writes wait in a queue. Whoever gets the lead commits everything that waits, in one transaction, and gives each
caller its own answer or its own error. No caller owns the transaction, so none can leave it open by being cancelled.

A sync caller leads on its own thread, so a lone append never changes threads. On an event loop a few writes that
have to wait for nothing, neither for the disk nor for a lock, are committed on the loop itself, which takes less than
to hand them over; all others are led by one thread of the committer's.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args
from weakref import WeakSet

from chatstore.databases.sqlite import SqliteDatabase
from chatstore.errors import StoreClosed
from chatstore.operations.histories import History
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import Announcement, Transaction
from chatstore.writing.pending import UNKNOWN, Pending, Write, hand_over, settle

T = TypeVar("T")
Announce: TypeAlias = Callable[[Announcement], None]

Durability = Literal["token", "message", "full"]
DURABILITIES: Final[tuple[str, ...]] = get_args(Durability)
"""Which commits are synced to the disk: none; those that finish or change something whole; every one."""

GROUP = 1_000
"""Writes in one transaction, at most."""
FEW = 100
"""Blocks that are written on an event loop itself, at most: they take 3 ms, and a thread that works beside the loop
keeps it waiting for up to 5 ms too (`sys.getswitchinterval`)."""
KNOWN = 4_096
"""Histories whose counters are remembered, at most."""

_log = logging.getLogger(__name__)


class Committer:
    """Commits the writes of one process to one database; `announce` is told what each commit changed."""

    def __init__(self, database: SqliteDatabase, cursors: Cursors, announce: Announce, durability: str) -> None:
        self._database = database
        self._cursors = cursors
        self._announce = announce
        self._durability = durability
        self._conn = database.writer()
        self._known: dict[str, History | None] = {}
        self._coming: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._waiting: deque[Pending[Any]] = deque()
        self._lead = threading.Lock()
        self._starting = threading.Lock()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, write: Write[T], *, synced: bool = True) -> T:
        """Commits a write and returns its answer, leading if nobody does.

        `synced=False`: it finishes nothing, so that with the durability "message" it need not survive a power cut.
        """
        pending: Pending[T] = Pending(write, self._syncs(synced))
        self._enqueue(pending)
        try:
            with self._lead:
                while not pending.settled:
                    self._commit_waiting()
                self._checkpoint()
        except BaseException:
            pending.withdrawn = True
            raise
        return pending.result()

    def run_all(self, writes: Iterable[Write[object]], *, synced: bool = True) -> list[Exception | None]:
        """Commits several writes, together where that can be, and returns the error of each."""
        pendings = [Pending(write, self._syncs(synced)) for write in writes]
        for pending in pendings:
            self._enqueue(pending)
        with self._lead:
            while not all(pending.settled for pending in pendings):
                self._commit_waiting()
            self._checkpoint()
        return [pending.error for pending in pendings]

    async def post(self, write: Write[T], *, synced: bool = True, size: int = UNKNOWN) -> T:
        """`run` for an event loop. Cancelled before its turn, the write is withdrawn; after it, it is stored.

        `size`: about how many small blocks' work it is (see `pending.size_of`).
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        pending = Pending(write, self._syncs(synced), future, size)
        self._enqueue(pending)
        if pending.synced or size > FEW:
            self._call_thread()
        elif loop not in self._coming:  # once for all tasks that write before the loop comes round
            self._coming.add(loop)
            loop.call_soon(self._lead_on, loop)
        try:
            return await future
        except asyncio.CancelledError:
            pending.withdrawn = True
            raise

    def scrub(self) -> None:
        """Leaves no byte of what was deleted in the files. Raises StoreBusy where somebody reads for too long."""
        with self._lead:
            try:
                self._database.scrub(self._conn)
            except Exception as error:
                raise self._database.translate(error) from error

    def close(self) -> None:
        """Commits what waits, then takes no more."""
        with self._lead:
            if self._closed:
                return
            self._closed = True
            while self._waiting:
                self._commit_waiting()
        if self._thread is not None:
            self._calls.put(False)
            self._thread.join()
        self._conn.close()

    def _enqueue(self, pending: Pending[Any]) -> None:
        self._waiting.append(pending)
        if self._closed:  # looked at afterwards: what was there before the close began, it commits
            pending.withdrawn = True
            raise StoreClosed("the store is closed; open it again to write")

    def _syncs(self, synced: bool) -> bool:
        return self._durability == "full" or (synced and self._durability == "message")

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
                self._thread = threading.Thread(target=self._serve, name="chatstore-committer", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while self._calls.get():
            while self._waiting:
                with self._lead:
                    self._commit_waiting()
            with self._lead:
                self._checkpoint()

    def _commit_waiting(self, *, patient: bool = True) -> None:
        """Commits the writes at the front of the queue; impatient, only if nothing has to be waited for.

        They stay in it until they have their answers: a leader that a signal interrupts leaves nothing behind that
        the next one would not take up.
        """
        count = min(len(self._waiting), GROUP)
        group = [self._waiting[place] for place in range(count)]
        todo = [pending for pending in group if not pending.settled and not pending.withdrawn]
        if todo and not self._commit(todo, patient=patient):
            return
        hand_over(group)
        for _ in group:
            self._waiting.popleft()

    def _commit(self, group: list[Pending[Any]], *, patient: bool = True) -> bool:
        """One transaction for the group. When the database fails it, each write gets one of its own instead.

        False: it did not begin, because it would have had to wait.
        """
        began = committing = False
        synced = any(pending.synced for pending in group)
        if not patient and (synced or sum(pending.size for pending in group) > FEW):
            return False
        try:
            self._database.rollback(self._conn)  # what a second signal may have left, if anything
            began = self._database.begin(self._conn, synced=synced, patient=patient)
            if not began:
                return False
            transaction = Transaction(self._conn, self._cursors, self._remembered())
            for pending in group:
                pending.apply(transaction)
            transaction.finish()
            committing = True
            self._database.commit(self._conn)
            settle(group)
        except Exception as error:
            return self._give_up(group, error, began=began, patient=patient)
        except BaseException:
            # A signal's: the commit happened whole or not at all, and the connection knows which.
            if committing and not self._database.in_transaction(self._conn):
                settle(group)
            self._roll_back()
            raise
        self._conclude(transaction)
        return True

    def _conclude(self, transaction: Transaction) -> None:
        """Tells this process what was committed. Whatever comes of that, the callers get their answers."""
        try:
            for after in transaction.after_commit:
                after()
            if transaction.announced:
                self._announce(transaction.announced)
        except Exception:
            _log.exception("what was committed could not be handed over; subscriptions find it by themselves")

    def _remembered(self) -> dict[str, History | None]:
        """The counters of the histories written to before, while no other process has written anything."""
        if len(self._known) > KNOWN or not self._database.alone(self._conn):
            self._known = {}
        return self._known

    def _checkpoint(self) -> None:
        """Keeps the database's log short. Called with the lead, and never on an event loop: it waits for the disk."""
        if self._database.wants_checkpoint():
            try:
                self._database.checkpoint(self._conn)
            except Exception as error:
                _log.warning("a checkpoint failed, and is tried again later: %s", self._database.translate(error))

    def _give_up(self, group: list[Pending[Any]], error: Exception, *, began: bool, patient: bool) -> bool:
        """Has each write of the group tried alone, or fails it; leaves them to the thread where nothing may wait."""
        self._roll_back()
        if not patient:
            return False
        if began and len(group) > 1:
            _log.warning("a commit of %d writes failed (%s); each is tried alone", len(group), type(error).__name__)
            for pending in group:
                self._commit([pending])
        else:
            settle(group, self._database.translate(error))
        return True

    def _roll_back(self) -> None:
        self._known = {}
        try:
            self._database.rollback(self._conn)
        except Exception:
            _log.warning("a rollback failed; the connection is replaced", exc_info=True)
            self._conn.invalidate()
            self._conn.close()
            self._conn = self._database.writer()
