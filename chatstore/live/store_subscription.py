"""Subscriptions to a whole store: the changes of every context, or of those that match, under one cursor."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from chatstore.changes import Change
from chatstore.cursor import NOW, Cursor, StoreCursors
from chatstore.errors import CursorExpired
from chatstore.kinds import Selection
from chatstore.live.channel import Waiter
from chatstore.live.following import AsyncFollowing, Following, SyncFollowing
from chatstore.live.hub import Hub
from chatstore.operations.feed import Contexts, FeedPage
from chatstore.operations.reading import check_within


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller subscribed to; `after` is a cursor of the store, "now", or None."""

    selection: Selection
    contexts: Contexts
    after: str | None
    follow: bool
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What following a store needs: the hub, its cursors, and the end of its log by now."""

    hub: Hub
    cursors: StoreCursors
    head: int


class _Tail:
    """The position of a subscription in the store's log, and the changes it can give out."""

    over = False

    def __init__(self, start: int) -> None:
        self.position = self._handled = start
        self._ready: deque[tuple[int, Change]] = deque()

    def feed(self, page: FeedPage) -> None:
        """Takes a page that was read behind the position."""
        self.position = page.position
        self._ready.extend(page.entries)

    def take(self) -> Change | None:
        """The next change to give out, if one is ready."""
        if not self._ready:
            return None
        self._handled, change = self._ready.popleft()
        return change

    @property
    def resume_at(self) -> int:
        """Where to go on later without missing or repeating anything."""
        return self._handled if self._ready else self.position


FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.64
"""Seconds between two looks for changes that are there and wait for older transactions to end: nobody tells of that
where these are not a store's."""


class _InStore(Following[Wanted, Opened, FeedPage]):
    """A place in the log of the whole store, which is read from the database after every commit."""

    _tail: _Tail

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._waits = False
        self._paused = False
        self._pause = FIRST_PAUSE

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to the store, {self._state()}>"

    @property
    def cursor(self) -> Cursor | None:
        """Where to resume: behind the last change that was given out. None before it has started."""
        return self._opened.cursors.at(self._tail.resume_at) if self._started else None

    def _start(self, opened: Opened) -> None:
        after = self._wanted.after
        start = 0 if after is None else opened.head if after == NOW else opened.cursors.position(after)
        check_within(start, opened.head)
        self._tail = _Tail(start)

    def _place(self) -> int:
        return self._tail.position

    def _feed(self, page: FeedPage) -> None:
        # Nothing is missed by who begins at 0: that is wherever the log begins by now.
        if 0 < self._tail.position < page.pruned:
            raise CursorExpired(
                "changes behind the cursor were removed, as the store retains no more; go on from the error's `start`",
                start=self._opened.cursors.at(page.pruned),
            )
        self._tail.feed(page)
        self._caught_up = page.position >= page.head
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if page.waits and not page.entries else FIRST_PAUSE
        self._waits = page.waits
        self._pages.learn((change for _, change in page.entries), is_full=page.is_full)

    def _look(self, waiter: Waiter) -> bool:
        """Every commit wakes it, once. What came before it listened has to be looked for once more, and after a pause
        what waits for others."""
        paused, self._paused = self._paused, False
        if not self._opened.hub.listen(waiter) and not paused:
            self._paused = self._waits
            return False
        self._caught_up = False
        return True

    def _soon(self) -> float | None:
        return self._pause if self._paused else None

    def _forget(self, waiter: Waiter) -> None:
        if self._started:
            self._opened.hub.unlisten(waiter)


class StoreSubscription(SyncFollowing[Wanted, Opened, FeedPage], _InStore):
    """An iterator over the changes of a store: in order within each context, and in the order of the commits.

    `cursor` says where to resume; the changes carry the cursors of their own contexts. Contexts that come into being
    join by themselves. It ends, closes and waits like a Subscription.
    """


class AsyncStoreSubscription(AsyncFollowing[Wanted, Opened, FeedPage], _InStore):
    """The same for an event loop. A subscription from "now" starts with `async with`, or else with the first step."""
