"""Subscriptions: iterators over the changes of one history, past and to come."""

from __future__ import annotations

from dataclasses import dataclass

from chatstore.cursor import NOW, Cursor, CursorFactory, Position
from chatstore.kinds import Selection
from chatstore.live.channel import View, Waiter
from chatstore.live.following import AsyncFollowing, Following, SyncFollowing
from chatstore.live.hub import WAIT, Hub
from chatstore.live.tail import Batch, Tail
from chatstore.operations import reading
from chatstore.operations.log import LogPage


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller subscribed to; `after` is a cursor, "now" for the head when it starts, or None."""

    context_id: str
    selection: Selection
    after: str | None
    follow: bool
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What following a history needs: the hub, the history's cursors, and where its log begins and ends by now."""

    hub: Hub
    cursors: CursorFactory
    first: int
    head: int


class _InHistory(Following[Wanted, Opened, LogPage]):
    """A place in the log of one history, and the channel that hands over what comes."""

    _tail: Tail

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._view: View | None = None  # what keeps the hub following the history

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._wanted.context_id!r}, {self._state()}>"

    @property
    def cursor(self) -> Cursor | None:
        """Where to resume without missing or repeating anything: behind the last change that was given out, and
        behind all that the filter left out since. None before it started from "now" or from the beginning."""
        if self._started:
            return self._opened.cursors.between(self._tail.resume_at)
        return None if self._wanted.after in (None, NOW) else Cursor(str(self._wanted.after))

    def _start(self, opened: Opened) -> None:
        after = self._wanted.after
        if after is None or after == NOW:
            start = Position(opened.first if after is None else opened.head)
        else:
            start = opened.cursors.position(after)
        reading.check_within(max(start.sequence, start.until), opened.head)
        reading.check_kept(start.sequence, opened.first, opened.cursors)
        self._tail = Tail(self._wanted.selection, start, opened.cursors)

    def _place(self) -> int:
        return self._tail.position

    def _feed(self, page: LogPage) -> None:
        self._tail.feed(page.entries, selected=True)
        self._tail.advance(page.position)
        self._caught_up = page.position >= page.head
        self._tail.over |= self._caught_up and page.is_over
        self._pages.learn((entry.change for entry in page.entries), is_full=page.is_full)

    def _accept(self, batch: Batch) -> None:
        self._tail.accept(batch)

    def _look(self, waiter: Waiter) -> bool:
        """Takes what the channel has; where it does not reach back so far, the database has to be read."""
        hub = self._opened.hub
        view = self._view
        if view is None:
            view = self._view = hub.join(self._wanted.context_id, self._wanted.selection)
        batch = hub.behind(view, self._tail.position, waiter)
        if batch is WAIT:
            if self._ended:  # closed by another thread, which came too early to take this back
                hub.forget(view, waiter)
            return False
        if batch is None:
            self._caught_up = False
        else:
            self._tail.accept(batch)
        return True

    def _forget(self, waiter: Waiter) -> None:
        if (view := self._view) is not None:
            self._opened.hub.forget(view, waiter)

    def _end(self, waiter: Waiter) -> None:
        super()._end(waiter)
        self._view = None


class Subscription(SyncFollowing[Wanted, Opened, LogPage], _InHistory):
    """An iterator over changes, in order, without gap or repetition; it waits for what comes.

    Leave it by `break` and `close()`, or use it as a context manager. `close()` may be called from another thread
    and ends the iteration there; it may be called again.
    """


class AsyncSubscription(AsyncFollowing[Wanted, Opened, LogPage], _InHistory):
    """The same for an event loop. A subscription from "now" starts with `async with`, or else with the first step."""
