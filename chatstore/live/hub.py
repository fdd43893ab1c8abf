"""The hub: notices what other processes commit, reads it once, and hands it to this process's subscriptions.

Commits of this process are handed over as they happen. For those of others a thread waits for a wake-up, which
only ever means "look again": it looks at the database's version, then reads what is new. It does so every
`Database.looks_every` at least, whatever it hears: a lost wake-up costs no more than that.

Channels are held weakly: one is followed as long as a subscription holds a view of it, whether that is closed or
only dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from chatstore.changes import Entry
from chatstore.databases.base import Database, Patience
from chatstore.errors import ChatStoreError, StorageError, StoreClosed, again
from chatstore.finalizing import finalizes
from chatstore.forking import Owner
from chatstore.kinds import Selection
from chatstore.live.channel import Channel, View, Waiter, Woken
from chatstore.live.follower import Follower
from chatstore.live.tail import Batch
from chatstore.live.waking import wake
from chatstore.operations.log import LogPage
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import Announcement
from chatstore.wakers import Waker

TURNS = 60
"""In so many looks of the hub, each subscription that waits is made once to look at its channel, unasked."""

WAIT = Batch(0, 0, (), ())
"""What `Hub.behind` answers where there is nothing new."""

_log = logging.getLogger(__name__)


class Hub:
    """The channels of one process and store, and the thread that keeps them up to date while anyone subscribes."""

    def __init__(
        self,
        database: Database,
        cursors: Cursors,
        make_waker: Callable[[], Waker],
        look_after: Callable[[Connection], None],
    ) -> None:
        self._database = database
        self._cursors = cursors
        self._make_waker = make_waker
        self._look_after = look_after
        self._lock = threading.Lock()
        self._channels: WeakValueDictionary[str, Channel] = WeakValueDictionary()
        self._views: WeakValueDictionary[tuple[str, Selection], View] = WeakValueDictionary()
        self._stale: set[Channel] = set()
        self._listening: set[Waiter] = set()
        self._waker: Waker | None = None
        self._thread: threading.Thread | None = None
        self._turns = self._take_turns()
        self._next_turn = 0.0
        self._owner = Owner()
        self._patience = Patience(database, time.monotonic)
        self._failing = False
        self._not_before = 0.0
        self._ending = threading.Event()
        self._closed = False

    def join(self, context_id: str, selection: Selection) -> View:
        """A context as subscriptions with one selection see it. Starts the thread with the first."""
        self._owner.check()  # first: in a forked child the lock may be held for ever
        with self._lock:
            self._check()
            view = self._views.get((context_id, selection))
            if view is None:
                channel = self._channels.get(context_id)
                if channel is None:
                    channel = self._channels[context_id] = Channel(context_id)
                view = View(channel, selection, self._cursors(context_id))
                self._views[context_id, selection] = view
            self._start()
            return view

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
        if self._owner.forked or finalizes():  # which has the lock, perhaps: the next wake-up lets it go
            return
        with self._lock:
            self._listening.discard(waiter)

    def behind(self, view: View, position: int, waiter: Waiter) -> Batch | None:
        """What follows a position; None: read the database. At the end it is WAIT, and the waiter will be woken."""
        if waiter.loop is None:  # an event loop does not run on in a forked child
            self._owner.check()
        with self._lock:
            self._check()
            channel = view.channel
            if channel.failure is not None:
                raise again(channel.failure)
            if channel.head is None or (position > channel.head and not channel.waiting):
                # What was committed between the caller's read and now was not announced to the window that begins
                # here: it has to read once more.
                channel.open_at(position, waiter)
                return None
            if position >= channel.head:
                if not channel.settles(waiter):
                    self._gap(channel)
                view.wait(waiter)
                return WAIT
            return view.behind(position)

    def forget(self, view: View, waiter: Waiter) -> None:
        """Takes back a request to be woken."""
        if self._owner.forked or finalizes():
            return
        with self._lock:
            view.forget(waiter)

    def announce(self, commits: Announcement) -> None:
        """Hands over what this process just committed."""
        # Without the lock, which each append would have to take: whoever joins at this moment reads the database once
        # more before it waits.
        if not self._channels and not self._listening:
            return
        with self._lock:
            woken = self._listeners()
            for context_id, changed in commits.items():
                channel = self._channels.get(context_id)
                if channel is not None:
                    woken += self._extend(channel, [entry() for entry in changed])
        self._wake(woken)

    def close(self) -> None:
        """Ends the thread and every wait."""
        with self._lock:
            self._closed = True
            self._ending.set()
            thread = self._thread
            woken = self._everyone()
            self._nudge()
        self._wake(woken)
        if thread is not None:
            thread.join()

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed("the store was closed under the subscription; open it again to go on")

    def _nudge(self) -> None:
        if self._waker is not None:
            self._waker.nudge()

    def _extend(self, channel: Channel, entries: Iterable[Entry]) -> list[Woken]:
        """Adds entries to a channel; those who waited for it. Called with the lock held."""
        before = channel.head
        if not channel.extend(entries):
            self._gap(channel)  # somebody else committed in between
        return channel.moved_on(before)

    def _gap(self, channel: Channel) -> None:
        """Has the thread read on from the end of a channel. Called with the lock held."""
        self._stale.add(channel)
        self._nudge()

    def _listeners(self) -> list[Woken]:
        """Who listens for any commit; nobody does any more. Called with the lock held."""
        listening, self._listening = self._listening, set()
        loops = {waiter.loop for waiter in listening}
        return [Woken(loop, [waiter for waiter in listening if waiter.loop is loop]) for loop in loops]

    def _everyone(self) -> list[Woken]:
        """All who wait or listen. Called with the lock held."""
        return self._released([*self._channels]) + self._listeners()

    def _serve(self) -> None:
        error: Exception = StorageError("what follows the store for its subscriptions has ended; subscribe again")
        try:
            self._follow_on()
        except Exception as raised:
            error = self._ours(raised)
            _log.warning("following %s failed: %s", self._database.location, error)
        finally:
            if not self._closed:  # whatever ended it: nobody may wait for a thread that is gone
                self._fail(error)

    def _follow_on(self) -> None:
        """Follows until the hub is closed, over what passes by itself: the channels stay, and are read on."""
        self._patience = Patience(self._database, time.monotonic)
        self._ending.wait(max(self._not_before - time.monotonic(), 0.0))
        while not self._closed:
            try:
                self._follow()
            except Exception as error:
                if (pause := self._patience.pause(error)) is None:
                    raise
                self._say(error)
                self._ending.wait(pause)

    def _say(self, error: Exception | None) -> None:
        """Logs that following fails, once until it works again, and that it does."""
        if error is not None and not self._failing:
            _log.warning("following %s failed, and is tried again: %s", self._database.location, self._ours(error))
        elif error is None and self._failing:
            _log.info("following %s works again", self._database.location)
        self._failing = error is not None

    def _ours(self, raised: Exception) -> ChatStoreError:
        """An error of our tree, also for one that nobody foresaw."""
        error = self._database.translate(raised)
        if not isinstance(error, ChatStoreError):
            said = f"{type(raised).__name__}: {raised}"
            error = StorageError(f"what follows the store for its subscriptions failed ({said}); subscribe again")
            error.__cause__ = raised
        return error

    def _fail(self, error: Exception) -> None:
        """Ends the subscriptions of now with an error; those to come get a new thread."""
        with self._lock:
            woken = self._everyone()
            for channel in self._channels.values():
                channel.failure = error
            # Those of now stay with who holds them, and with the failure; the next to join gets a channel that has
            # none.
            self._channels, self._views = WeakValueDictionary(), WeakValueDictionary()
            self._stale.clear()
            self._thread = None
            self._not_before = time.monotonic() + self._database.looks_every  # it fails again, perhaps
        self._wake(woken)

    def _follow(self) -> None:
        """Arms, and only then takes a connection: what arming may have found broken is not looked with."""
        waker = self._make_waker()
        try:
            with self._lock:
                self._waker = waker
            with self._database.readers.connect() as conn:
                self._look_and_wait(conn, waker)
        finally:
            with self._lock:
                self._waker = None
            waker.close()

    def _look_and_wait(self, conn: Connection, waker: Waker) -> None:
        """Waits only when there was nothing: what is committed in between is an event already."""
        follower = Follower(self._database, conn, self._cursors, self)
        found, due = False, 0.0
        while not self._closed:
            # What the waker found, it has had looked at already; but maybe only the contexts that it heard of.
            if not found or time.monotonic() >= due:
                due = time.monotonic() + self._database.looks_every
                follower.look()
            self._database.check_in_place()
            self._look_after(conn)
            self._remind()
            self._patience = Patience(self._database, time.monotonic)  # it works again
            self._say(None)
            found = waker.wait(max(due - time.monotonic(), 0.0), follower.look)

    # From here on to `tell`: what the follower asks of the hub (see `follower.Followed`).

    def count(self) -> int:
        """How many contexts are followed."""
        return len(self._channels)

    def channels(self) -> list[Channel]:
        """The channels of all contexts that are followed."""
        with self._lock:
            return [channel for found in self._channels.valuerefs() if (channel := found()) is not None]

    def channel(self, context_id: str) -> Channel | None:
        """The channel of one context, if anybody follows it."""
        with self._lock:
            return self._channels.get(context_id)

    def stale(self) -> Iterable[Channel]:
        """The channels that have a gap, each of which is given once."""
        with self._lock:
            stale, self._stale = self._stale, set()
        return stale

    def add(self, channel: Channel, page: LogPage) -> None:
        """Hands over what was read behind the head of a channel."""
        with self._lock:
            before = channel.head
            if page.position < page.head > (before or 0):
                # More than is handed over to all (see `log.news`): each reads it in pages, when it gets there.
                channel.skip_to(page.head)
            channel.fill(page.entries, page.position)
            woken = channel.moved_on(before)
        self._wake(woken)

    def tell(self) -> None:
        """Wakes those who listen for any commit."""
        with self._lock:
            woken = self._listeners()
        self._wake(woken)

    def _remind(self) -> None:
        """Has some of those who wait look at their channels again, unasked."""
        if (now := time.monotonic()) < self._next_turn:
            return
        self._next_turn = now + self._database.looks_every
        with self._lock:
            woken = next(self._turns)
        self._wake(woken)

    def _take_turns(self) -> Iterator[list[Woken]]:
        """Those who wait, a share in each turn and everyone in TURNS. Stepped with the lock held."""
        while True:
            names = [*self._channels]
            share = len(names) // TURNS + 1
            woken = self._listeners()
            for first in range(0, share * TURNS, share):
                yield woken + self._released(names[first : first + share])
                woken = []

    def _released(self, names: Iterable[str]) -> list[Woken]:
        """Who waited for these contexts. Called with the lock held."""
        found = map(self._channels.get, names)
        return [woken for channel in found if channel is not None for woken in channel.release()]

    def _wake(self, woken: Iterable[Woken]) -> None:
        wake(woken, self._batch)

    def _batch(self, view: View, position: int) -> Batch | None:
        with self._lock:
            return view.behind(position)
