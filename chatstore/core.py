"""What the stores of one process share for one file: the database, the committer, the hub.

Opening the same file twice, or once for threads and once for an event loop, gives two faces of one core: writes of
the whole process still go through one committer, and commits are handed over to all its subscriptions.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from chatstore import checks, ids, processes
from chatstore.cursor import CursorFactory
from chatstore.databases import Location, Place, locate, open_database
from chatstore.databases.base import Database, Patience
from chatstore.errors import ChatStoreError, ForkedStore, InvalidInput
from chatstore.forking import Owner
from chatstore.limits import DEFAULT, Limits
from chatstore.live.hub import Hub
from chatstore.live.watch import Watch
from chatstore.model import Retain
from chatstore.operations import compacting, erasing, leases, retaining
from chatstore.operations.copying.origins import Origins
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.redaction import Redact
from chatstore.writing.committer import DURABILITIES, Committer
from chatstore.writing.flushing import Flusher
from chatstore.writing.lease import LeaseHolder

COMPACT_AFTER = 600.0
"""Seconds after the end of a block until the pieces that it grew by are removed."""
COMPACT_EVERY = 5.0
"""Seconds between two looks for such blocks."""
PRUNE_EVERY = 5.0
"""Seconds between two steps of retention."""
ERASE_EVERY = 2.0
"""Seconds between two looks for what was not erased to the end."""
SHORTLY = 0.1
"""Seconds for which such a look waits for those who read from the log."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """How a store is opened; see ChatStore."""

    create: bool = True
    busy_timeout: float = 30.0
    wake: str = field(default="auto", repr=False)
    lease: float = 30.0
    durability: str = "message"
    retain: Retain | None = None
    redact: Redact | None = None
    limits: Limits = DEFAULT
    listen_url: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raises InvalidInput where one of them has a value that it cannot have."""
        checks.seconds(self.busy_timeout, "busy_timeout")
        checks.seconds(self.lease, "lease")
        if self.retain is not None and not isinstance(self.retain, Retain):
            raise InvalidInput(f"retain= takes Retain(blocks=…, days=…), not {type(self.retain).__name__}")
        if self.durability not in DURABILITIES:
            raise InvalidInput(f"unknown durability {self.durability!r}; it is one of {', '.join(DURABILITIES)}")


class Core:
    """One open store of one process; `acquire` and `release` count its faces."""

    def __init__(self, place: Place, options: Options) -> None:
        self.options = options
        self.database: Database = open_database(
            place,
            create=options.create,
            busy_timeout=options.busy_timeout,
            wake=options.wake,
            listen_url=options.listen_url,
        )
        self.cursors: Cursors = lru_cache(maxsize=4096)(
            partial(CursorFactory, self.database.identity, before=self.before)
        )
        waker = partial(self.database.waker, options.wake)
        self.hub: Hub = Hub(self.database, self.cursors, waker, self._end_the_dead)
        self.committer: Committer = Committer(self.database, self.cursors, self.hub.announce, options.durability)
        self.flusher: Flusher = Flusher(self.committer)
        self.lease: LeaseHolder = LeaseHolder(self.committer, self.flusher, options.lease)
        self.faces = 0
        self._owner = Owner()
        self._watch = Watch(processes.machine(), processes.is_gone)
        self._version: object = None
        self._next_look = 0.0
        self._pruned_to = 0
        try:
            self._begin_chores()
        except BaseException:
            self.close()
            raise

    def _begin_chores(self) -> None:
        """Schedules what is to be done from time to time, and does now what other processes left undone."""
        self.flusher.every(COMPACT_EVERY, self.compact)
        self.flusher.every(ERASE_EVERY, partial(self._erase_some, SHORTLY))
        if self.options.retain is not None:
            self.flusher.every(PRUNE_EVERY, self._prune_some)
            self.flusher.start()
        self.read(self._end_the_dead)
        if self.read(erasing.is_unfinished):  # whoever began it died, or could not end it
            self.flusher.start()

    def compact(self) -> bool:
        """Removes some of the pieces of blocks that ended a while ago; whether there may be more."""
        before = ids.now() - round(COMPACT_AFTER * 1_000_000)
        return self.committer.run(self.compaction(before), synced=False)[1]

    def compaction(self, before: int) -> Callable[[Transaction], tuple[int, bool]]:
        """The write that removes some of the pieces of blocks that ended before a time, and gives back their room."""

        def step(transaction: Transaction) -> tuple[int, bool]:
            removed, more = compacting.step(transaction, before)
            self.database.give_back(transaction.conn)
            return removed, more

        return step

    def erase(self, context: ContextRef) -> None:
        """Erases a context; returns when no byte of it is left in the store's files."""
        self.committer.run(partial(erasing.erase, context=context))
        try:
            while self._erase_some():
                pass
        except BaseException:
            self.flusher.start()  # its thread goes on with the erasure
            raise

    def _erase_some(self, patience: float | None = None) -> bool:
        """Goes on with what is being erased; whether there is more to do."""
        if not self.read(erasing.is_unfinished):
            return False
        purged = self.committer.run(lambda transaction: erasing.purge(transaction.conn))
        if purged:
            self.committer.scrub(patience)
            self.committer.run(lambda transaction: erasing.finish(transaction.conn, purged))
        return True

    def prune(self) -> int:
        """Removes what the store is not told to retain; how many blocks."""
        removed, after = 0, 0
        while True:
            progress = self.committer.run(partial(retaining.step, policy=self._policy(), after=after), synced=False)
            removed += progress.removed
            if progress.after is None:
                return removed
            after = progress.after

    def _prune_some(self) -> bool:
        """The same, a step at a time: whether there is more to do at once."""
        step = partial(retaining.step, policy=self._policy(), after=self._pruned_to)
        progress = self.committer.run(step, synced=False)
        self._pruned_to = progress.after or 0
        return progress.removed > 0 and progress.after is not None

    def _policy(self) -> retaining.Policy:
        keep = self.options.retain or Retain()
        since = None if keep.days is None else ids.now() - round(keep.days * 86_400_000_000)
        return retaining.Policy(keep.blocks, since)

    def _end_the_dead(self, conn: Connection) -> None:
        """Ends what dead processes left open; looked at while anyone follows, and when the store is opened."""
        if (now := time.monotonic()) < self._next_look:
            return
        self._next_look = now + self.database.watches_every
        held = [lease for lease in leases.all_leases(conn) if lease.id != self.lease.id]
        for lease in self._watch.expired(held, now, partial(self._can_write, conn)):
            try:
                ended = leases.take_away(self.committer.run, lease.id, lease.beats)
            except ChatStoreError as error:
                _log.warning("what process %d left open stays so for now: %s", lease.pid, error)
            else:
                _log.info("process %d is dead; %d runs and blocks of it were interrupted", lease.pid, ended)

    def _can_write(self, conn: Connection) -> bool:
        """Whether anybody could since it was asked last: some did, or nobody keeps the lock that all need."""
        if self.database.commits_wait:  # a server, which has no such lock
            return True
        before, self._version = self._version, self.database.version(conn)
        return before != self._version or self.committer.is_free()

    def read(self, read: Callable[[Connection], T]) -> T:
        """What a read gives; tried again over what passes by itself."""
        patience = Patience(self.database, time.monotonic)
        while True:
            try:
                with self.database.readers.connect() as conn:
                    return read(conn)
            except ChatStoreError:
                raise
            except Exception as error:
                if (pause := patience.pause(error)) is None:
                    raise self.database.translate(error) from error
                time.sleep(pause)

    @property
    def before(self) -> Origins:
        """The stores that this one was copied from."""
        return Origins(self.read)

    @property
    def forked(self) -> bool:
        """Whether this process inherited the core and did not open it."""
        return self._owner.forked

    def check(self) -> None:
        """Refuses a store that came here through a fork."""
        self._owner.check()

    def close(self) -> None:
        """Ends subscriptions, commits what waits, closes the file."""
        with ExitStack() as stack:  # the rest is closed too when the disk refuses what the first have to write
            for part in (self.database, self.committer, self.lease, self.flusher):
                stack.callback(part.close)
            self.hub.close()


_cores: dict[str, Core] = {}
_inherited: list[dict[str, Core]] = []
_turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
_lock = threading.Lock()


def acquire(location: Location | Place, options: Options) -> Core:
    """The core of this store in this process, opened if it is not."""
    options.check()
    place = locate(location)
    path = str(place)
    with _turn(path):
        if any(path in cores and not cores[path].database.survives_fork for cores in _inherited):
            raise ForkedStore(
                f"{path} was open when this process was forked, and its database would take the locks of the parent"
                " for its own here; close the store before the fork, or start the process by spawn"
            )
        core = _cores.get(path)
        if core is not None and not core.database.is_in_place():
            core = None  # its file was removed or replaced; those who have it open are told so by their next call
        if core is None:
            core = _cores[path] = Core(place, options)
        _check_same(core.options, options, path)
        core.faces += 1
        return core


def _turn(path: str) -> threading.Lock:
    """What is held by whoever opens or closes a store: those of other paths are opened and closed beside it, for it
    may take as long as another process keeps the file."""
    with _lock:
        turn = _turns.get(path)
        if turn is None:
            turn = _turns[path] = threading.Lock()
        return turn


def _check_same(opened: Options, asked: Options, path: str) -> None:
    for name in ("wake", "busy_timeout", "lease", "durability", "retain", "redact", "limits", "listen_url"):
        if (given := getattr(asked, name)) != (held := getattr(opened, name)):
            secret = name in ("wake", "listen_url") and "://" in f"{held} {given}"
            how = f"another {name}=" if secret else f"{name}={held!r}, and now asked for with {given!r}"
            raise InvalidInput(f"{path} is open in this process with {how}; close the other store, or share it")


def release(core: Core) -> None:
    """Gives a core back; the last one to do so closes it."""
    if core.forked:
        return  # the parent's to close
    path = core.database.location
    with _turn(path):
        core.faces -= 1
        if core.faces:
            return
        try:
            core.close()
        finally:  # not before: a child that is forked meanwhile inherits its locks
            if _cores.get(path) is core:
                del _cores[path]


def warn_of_unclosed(face: object, core: Core | None) -> None:
    """Tells that a store was dropped without being closed: its file stays open for as long as the process runs.

    It is not closed here, where the garbage collector is: that waits for threads.
    """
    if core is not None and not core.forked:
        way = "async with" if hasattr(face, "__aenter__") else "with"
        told = f"{face!r} was dropped while it was open; use `{way}`, or close it"
        warnings.warn(told, ResourceWarning, stacklevel=3, source=face)


def _forget_inherited() -> None:
    """In a forked child: forgets every core without closing any, for that would meddle with the parent's files."""
    global _cores, _turns, _lock
    _inherited.append(_cores)
    _cores, _turns, _lock = {}, WeakValueDictionary(), threading.Lock()


@atexit.register
def _end_at_exit() -> None:
    """Stores the text that open blocks of this process still hold, and ends what it leaves open."""
    for core in [*_cores.values()]:
        if not core.forked and core.lease.id is not None:
            core.database.hurry()
            with suppress(Exception):
                core.flusher.close()
                core.lease.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
