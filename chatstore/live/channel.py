"""The newest changes of one history, as the subscriptions of this process share them.

What many subscriptions would do alike is done once here: a change is built once for all, and selected and joined
once for all that have the same filter.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol
from weakref import ReferenceType, ref

from chatstore.changes import Entry
from chatstore.cursor import CursorFactory, Position, context_mark
from chatstore.kinds import Selection
from chatstore.live import joining
from chatstore.live.paging import weight
from chatstore.live.tail import Batch

MAX_ENTRIES = 512
MAX_CHARACTERS = 1_000_000
"""What a channel keeps for subscriptions that are nearly there; one that is further behind reads the database."""


class Waiter(Protocol):
    """A subscription that waits for its channel to move; on an event loop, or on its own thread (None)."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """Where `wake` has to be called; None: on any thread."""

    def wake(self, batch: Batch | None = None) -> None:
        """Makes it go on with what follows its position, or else look for that itself. Called without locks held."""


class Woken(NamedTuple):
    """Those that waited on one event loop, or on threads; for a view, and the position that it moved on from."""

    loop: AbstractEventLoop | None
    waiters: Iterable[Waiter]
    view: View | None = None
    position: int | None = None


_BEGINNING = Position(0)


class Channel:
    """A window on the end of one history's log: what is given out between `base` and `head`, in order.

    Until someone has caught up there is no window (`head` is None). A subscription that waits stands at the head, or
    has read on behind it. No I/O and no locks: the hub holds its lock around every call.
    """

    __slots__ = (
        "__weakref__",
        "_characters",
        "_entries",
        "_opener",
        "base",
        "context_id",
        "failure",
        "head",
        "mark",
        "waiting",
    )

    def __init__(self, context_id: str) -> None:
        self.context_id: str = context_id
        self.mark: str = context_mark(context_id)
        self.head: int | None = None
        self.base: int = 0
        self.failure: Exception | None = None
        self.waiting: set[View] = set()
        self._entries: deque[Entry] = deque()
        self._characters = 0
        self._opener: ReferenceType[Waiter] | None = None

    def open_at(self, position: int, waiter: Waiter) -> None:
        """Opens a window for somebody who reads the database once more, for what was committed before it was open."""
        self.skip_to(position)
        self._opener = ref(waiter)

    def settles(self, waiter: Waiter) -> bool:
        """Whether somebody who comes to the head knows all that was committed before the window was open. If not, the
        database has to be read from here, once for all: after this call the window counts as settled."""
        opener, self._opener = self._opener, None
        # Another than who opened it may have read the database before that, and not since.
        return opener is None or opener() is waiter

    def extend(self, entries: Iterable[Entry]) -> bool:
        """Adds what follows the head; what is known already is passed over. False at a gap, which stays unfilled."""
        if self.head is None:
            return True
        for entry in entries:
            # The hub's thread may have read it from the database before this process came to hand it over.
            if entry.sequence <= self.head:
                continue
            if entry.sequence != self.head + 1:
                return False
            self._add(entry)
        return True

    def fill(self, entries: Iterable[Entry], position: int) -> None:
        """Adds what a page of the log holds up to a position. The pieces of finished blocks are not in it, so its
        numbers have gaps."""
        if self.head is None or position <= self.head:
            return
        for entry in entries:
            if entry.sequence > self.head:
                self._add(entry)
        self.head = position

    def skip_to(self, head: int) -> None:
        """Opens a window that begins at `head`, and gives up the one there was: up to there the database is read."""
        self._entries.clear()
        self._characters = 0
        self.head = self.base = head

    def behind(self, position: int) -> Sequence[Entry] | None:
        """The entries after a position; None where the window does not reach back so far."""
        if self.head is None or position < self.base:
            return None
        if position >= self.head:
            return ()
        entries = self._entries
        first = bisect_right(entries, position, key=_sequence)
        return [entries[place] for place in range(first, len(entries))]

    def release(self, position: int | None = None) -> list[Woken]:
        """Who waited until now; nobody does any more. `position`: the former head, where they stand, if it moved."""
        views, self.waiting = self.waiting, set()
        return [woken for view in views for woken in view.release(position)]

    def moved_on(self, before: int | None) -> list[Woken]:
        """Who waited, if it has moved from its former head."""
        return [] if before is None or before == self.head else self.release(before)

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._characters += weight(entry.change)
        self.head = entry.sequence
        while len(self._entries) > MAX_ENTRIES or (self._characters > MAX_CHARACTERS and len(self._entries) > 1):
            dropped = self._entries.popleft()
            self.base = dropped.sequence
            self._characters -= weight(dropped.change)


class View:
    """A channel as the subscriptions with one selection see it, which they hold as long as they want to."""

    __slots__ = ("__weakref__", "_batch", "_cursors", "_waiting", "channel", "selection")

    def __init__(self, channel: Channel, selection: Selection, cursors: CursorFactory) -> None:
        self.channel: Channel = channel
        self.selection: Selection = selection
        self._cursors = cursors
        self._batch: Batch | None = None
        self._waiting: dict[AbstractEventLoop | None, set[Waiter]] = {}

    def wait(self, waiter: Waiter) -> None:
        """Has somebody who knows all up to the head woken when it moves."""
        waiters = self._waiting.get(waiter.loop)
        if waiters is None:
            self._waiting[waiter.loop] = {waiter}
            self.channel.waiting.add(self)
        else:
            waiters.add(waiter)

    def forget(self, waiter: Waiter) -> None:
        """Takes that back."""
        waiters = self._waiting.get(waiter.loop)
        if waiters is None:
            return
        waiters.discard(waiter)
        if not waiters:
            del self._waiting[waiter.loop]
        if not self._waiting:
            self.channel.waiting.discard(self)

    def release(self, position: int | None) -> list[Woken]:
        """Who waited; nobody does any more."""
        waiting, self._waiting = self._waiting, {}
        return [Woken(loop, waiters, self, position) for loop, waiters in waiting.items()]

    def behind(self, position: int) -> Batch | None:
        """What follows a position; None where the window does not reach back so far."""
        batch = self._batch
        if batch is not None and batch.after == position and batch.position == self.channel.head:
            return batch
        entries = self.channel.behind(position)
        if entries is None or self.channel.head is None:
            return None
        wanted = [entry for entry in entries if joining.wants(self.selection, entry)]
        # Kept for all who see the channel alike: those that waited ask for the same one after the other.
        self._batch = Batch(position, self.channel.head, wanted, joining.ready(wanted, _BEGINNING, self._cursors))
        return self._batch


def _sequence(entry: Entry) -> int:
    return entry.sequence
