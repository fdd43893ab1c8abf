"""The hub: notices what other processes commit, reads it once, and hands it to this process's subscriptions.

Commits of this process are handed over as they happen. For those of others a thread waits for a wake-up, which
only ever means "look again": it looks at the database's version, then reads what is new. Every wait has a time
limit, so a lost wake-up costs at most LONGEST_WAIT.
"""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from chatstore.changes import Entry
from chatstore.databases.sqlite import SqliteDatabase
from chatstore.errors import StoreClosed
from chatstore.forking import Owner
from chatstore.kinds import Selection
from chatstore.live.channel import Channel, Waiter
from chatstore.live.wakers import Waker
from chatstore.operations import histories, log
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import Announcement

LONGEST_WAIT = 0.5
"""Seconds between two looks at the database, whatever the wake-ups do."""

PAGE = 128
"""Changes read at once; who is further behind than that reads for itself."""

_EVERYTHING = Selection()
_log = logging.getLogger(__name__)


class Hub:
    """The channels of one process and store, and the thread that keeps them up to date while anyone subscribes."""

    def __init__(
        self,
        database: SqliteDatabase,
        cursors: Cursors,
        make_waker: Callable[[], Waker],
        look_after: Callable[[Connection], None],
    ) -> None:
        self._database = database
        self._cursors = cursors
        self._make_waker = make_waker
        self._look_after = look_after
        self._lock = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._stale: set[Channel] = set()
        self._listening: set[Waiter] = set()
        self._left: deque[Channel] = deque()
        self._waker: Waker | None = None
        self._thread: threading.Thread | None = None
        self._version = 0
        self._owner = Owner()
        self._closed = False

    def join(self, context_id: str) -> Channel:
        """The channel of a context, for one more subscription. Starts the thread with the first."""
        self._owner.check()  # first: in a forked child the lock may be held for ever
        with self._lock:
            self._check()
            self._sweep()
            channel = self._channels.get(context_id)
            if channel is None:
                channel = self._channels[context_id] = Channel(context_id)
            channel.subscriptions += 1
            self._start()
            return channel

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="chatstore-hub", daemon=True)
            self._thread.start()

    def listen(self, waiter: Waiter) -> bool:
        """Wakes somebody, once, after the next commit of anyone. False: it was listening already."""
        self._owner.check()
        with self._lock:
            self._check()
            self._start()
            new = waiter not in self._listening
            self._listening.add(waiter)
            return new

    def unlisten(self, waiter: Waiter) -> None:
        """Takes that back."""
        if self._owner.forked:
            return
        with self._lock:
            self._listening.discard(waiter)

    def leave(self, channel: Channel) -> None:
        """Ends one subscription's use of a channel. The garbage collector may call it anywhere, so it takes no lock."""
        self._left.append(channel)

    def _sweep(self) -> None:
        """Drops the channels that nobody uses any more. Called with the lock held."""
        while self._left:
            channel = self._left.popleft()
            channel.subscriptions -= 1
            if not channel.subscriptions and channel.failure is None:
                del self._channels[channel.context_id]
                self._stale.discard(channel)

    def behind(self, channel: Channel, position: int, waiter: Waiter) -> Sequence[Entry] | None:
        """The entries after a position; None: read the database. Where there are none, the waiter will be woken."""
        self._owner.check()
        with self._lock:
            self._check()
            if channel.failure is not None:
                raise channel.failure
            if channel.start(position):
                # What was committed between the caller's read and now was not announced to this window.
                self._stale.add(channel)
                self._nudge()
            entries = channel.behind(position)
            if entries is not None and not entries:
                channel.waiting.add(waiter)
            return entries

    def forget(self, channel: Channel, waiter: Waiter) -> None:
        """Takes back a request to be woken."""
        if self._owner.forked:
            return
        with self._lock:
            channel.waiting.discard(waiter)

    def announce(self, commits: Announcement) -> None:
        """Hands over what this process just committed."""
        if not self._channels and not self._listening:
            return
        with self._lock:
            woken = self._listeners()
            for context_id, changed in commits.items():
                channel = self._channels.get(context_id)
                if channel is not None:
                    woken += self._extend(channel, [entry() for entry in changed])
        _wake(woken)

    def close(self) -> None:
        """Ends the thread and every wait."""
        with self._lock:
            self._closed = True
            thread = self._thread
            woken = [waiter for channel in self._channels.values() for waiter in channel.waiting]
            woken += self._listeners()
            self._nudge()
        _wake(woken)
        if thread is not None:
            thread.join()

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed("the store was closed under the subscription; open it again to go on")

    def _nudge(self) -> None:
        if self._waker is not None:
            self._waker.nudge()

    def _extend(self, channel: Channel, entries: Iterable[Entry]) -> set[Waiter]:
        """Adds entries to a channel; those who waited for it. Called with the lock held."""
        if not channel.extend(entries):
            # Somebody else committed in between: the thread fills the gap from the database.
            self._stale.add(channel)
            self._nudge()
        waiting, channel.waiting = channel.waiting, set()
        return waiting

    def _listeners(self) -> list[Waiter]:
        woken, self._listening = [*self._listening], set()
        return woken

    def _serve(self) -> None:
        try:
            with self._database.readers.connect() as conn:
                self._follow(conn)
        except Exception as error:
            _log.warning("following the store failed: %s", type(error).__name__)
            self._fail(self._database.translate(error))

    def _fail(self, error: Exception) -> None:
        """Ends the subscriptions of now with an error; those to come get a new thread."""
        with self._lock:
            channels, self._channels = self._channels, {}
            self._stale.clear()
            self._thread = None
            for channel in channels.values():
                channel.failure = error
            woken = [waiter for channel in channels.values() for waiter in channel.waiting] + self._listeners()
        _wake(woken)

    def _follow(self, conn: Connection) -> None:
        """Arm, look, and wait only when there was nothing: what is committed in between is an event already."""
        self._version, position = self._database.version(conn), log.newest(conn)
        waker = self._make_waker()
        try:
            with self._lock:
                self._waker = waker
            while not self._closed:
                self._database.check_in_place()
                moved: set[int] = set()
                if self._moved(conn):
                    self._version = self._database.version(conn)
                    moved, position = log.moved(conn, position)
                self._update(conn, moved)
                self._look_after(conn)
                waker.wait(LONGEST_WAIT, partial(self._moved, conn))
        finally:
            with self._lock:
                self._waker = None
            waker.close()

    def _moved(self, conn: Connection) -> bool:
        return self._database.version(conn) != self._version

    def _update(self, conn: Connection, moved: set[int]) -> None:
        """Brings the channels up to date that were written to by others, or have a gap."""
        with self._lock:
            self._sweep()
            stale, self._stale = self._stale, set()
            channels = [*self._channels.values()] if moved else [*stale]
            woken = self._listeners() if moved else []
        _wake(woken)
        for channel in channels:
            if channel.history_id is None:
                history = histories.find(conn, channel.context_id)
                channel.history_id = None if history is None else history.id
            if channel in stale or channel.history_id in moved:
                self._read(conn, channel)

    def _read(self, conn: Connection, channel: Channel) -> None:
        known = channel.head
        if known is None:
            return
        page = log.log(conn, channel.context_id, self._cursors, _EVERYTHING, after=known, limit=PAGE)
        with self._lock:
            if page.position < page.head > (channel.head or 0):
                channel.skip_to(page.head)
            channel.fill(page.entries, page.position)
            woken, channel.waiting = channel.waiting, set()
        _wake(woken)


def _wake(waiters: Iterable[Waiter]) -> None:
    """Wakes subscriptions, those of one event loop with one call to it."""
    loops: dict[AbstractEventLoop, list[Waiter]] = {}
    for waiter in waiters:
        if waiter.loop is None:
            waiter.wake()
        else:
            loops.setdefault(waiter.loop, []).append(waiter)
    for loop, waiting in loops.items():
        try:
            loop.call_soon_threadsafe(_wake_all, waiting)
        except RuntimeError:  # the loop is closed: nobody waits there any more
            _log.debug("an event loop closed before %d subscriptions", len(waiting))


def _wake_all(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()
