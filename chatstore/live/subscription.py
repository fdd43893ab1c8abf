"""Subscriptions: iterators over the changes of one history, past and to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import finalize

from chatstore.changes import Change
from chatstore.cursor import NOW, Cursor, CursorFactory, Position
from chatstore.kinds import Selection
from chatstore.live.channel import Channel, Waiter
from chatstore.live.following import AsyncFollowing, Following, SyncFollowing
from chatstore.live.hub import Hub
from chatstore.live.tail import Tail
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
    """What following a history needs: the hub, the history's cursors, and its head by now."""

    hub: Hub
    cursors: CursorFactory
    head: int


class _InHistory(Following[Wanted, Opened, LogPage]):
    """A place in the log of one history, and the channel that hands over what comes."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._channel: Channel | None = None
        self._leave_channel: Callable[[], object] | None = None

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
            start = Position(0 if after is None else opened.head)
        else:
            start = opened.cursors.position(after)
        reading.check_within(max(start.sequence, start.until), opened.head)
        self._opened = opened
        self._tail = Tail(self._wanted.selection, start, opened.cursors)

    def _take(self) -> Change | None:
        change = self._tail.take()
        if change is None and self._tail.over:
            self._ended = True
        return change

    def _place(self) -> int:
        return self._tail.position

    def _feed(self, page: LogPage) -> None:
        self._tail.feed(page.entries, selected=True)
        self._tail.advance(page.position)
        self._caught_up = page.position >= page.head
        self._tail.over |= self._caught_up and page.run_is_over
        self._pages.learn(entry.change for entry in page.entries)

    def _look(self, waiter: Waiter) -> bool:
        """Takes what the channel has; where it does not reach back so far, the database has to be read."""
        hub = self._opened.hub
        if self._channel is None:
            self._channel = hub.join(self._wanted.context_id)
            # Also for a subscription that is dropped without being closed; it runs once, whoever is first.
            leave = finalize(self, hub.leave, self._channel)
            leave.atexit = False
            self._leave_channel = leave
        position = self._tail.position
        entries = hub.behind(self._channel, position, waiter)
        if entries is None:
            self._caught_up = False
            return True
        self._tail.feed(entries, selected=False)
        return self._tail.position != position

    def _forget(self, waiter: Waiter) -> None:
        if self._channel is not None:
            self._opened.hub.forget(self._channel, waiter)

    def _leave(self) -> None:
        if self._leave_channel is not None:
            self._leave_channel()


class Subscription(SyncFollowing[Wanted, Opened, LogPage], _InHistory):
    """An iterator over changes, in order, without gap or repetition; it waits for what comes.

    Leave it by `break` and `close()`, or use it as a context manager. `close()` may be called from another thread
    and ends the iteration there; it may be called again.
    """


class AsyncSubscription(AsyncFollowing[Wanted, Opened, LogPage], _InHistory):
    """The same for an event loop. A subscription from "now" starts with `async with`, or else with the first step."""
