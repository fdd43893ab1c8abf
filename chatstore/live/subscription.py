"""Subscriptions: iterators over the changes of one history, past and to come."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self
from weakref import finalize

from chatstore.changes import Change
from chatstore.cursor import NOW, Cursor, CursorFactory, Position
from chatstore.errors import StoreClosed, UsageError, WrongEventLoop
from chatstore.kinds import Selection
from chatstore.live.channel import Channel
from chatstore.live.hub import Hub
from chatstore.live.paging import PageSize
from chatstore.live.tail import Tail
from chatstore.operations import reading
from chatstore.operations.log import LogPage

LONGEST_WAIT = 30.0
"""Seconds after which a waiting subscription looks at its channel again, unasked."""


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


class Log(Protocol):
    """Reads the log of the history that is followed."""

    def open(self) -> Opened:
        """Where to begin."""

    def page(self, selection: Selection, after: int, limit: int) -> LogPage:
        """The next selected changes."""


class AsyncLog(Protocol):
    """The same, awaited."""

    async def open(self) -> Opened:
        """Where to begin."""

    async def page(self, selection: Selection, after: int, limit: int) -> LogPage:
        """The next selected changes."""


class _Following:
    """What both subscriptions share: a place in the log, a channel, and the patience of the caller."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._opened: Opened | None = None
        self._tail: Tail | None = None
        self._channel: Channel | None = None
        self._leave: Callable[[], object] | None = None
        self._caught_up = False
        self._pages = PageSize()
        self._ended = False
        self._last_change = time.monotonic()

    @property
    def cursor(self) -> Cursor | None:
        """Where to resume without missing or repeating anything: behind the last change that was given out, and
        behind all that the filter left out since. None before it started from "now" or from the beginning."""
        if self._tail is not None and self._opened is not None:
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
        self._last_change = time.monotonic()

    def _take(self) -> Change | None:
        assert self._tail is not None
        change = self._tail.take()
        if change is not None:
            self._last_change = time.monotonic()
        elif self._tail.over:
            self._ended = True
        return change

    def _feed(self, page: LogPage) -> None:
        assert self._tail is not None
        self._tail.feed(page.entries, selected=True)
        self._tail.advance(page.position)
        self._caught_up = page.position >= page.head
        self._tail.over |= self._caught_up and page.run_is_over
        self._pages.learn(entry.change for entry in page.entries)

    def _look(self, waiter: Subscription | AsyncSubscription) -> bool:
        """Takes what the channel has. False: there was nothing, and the waiter will be woken when there is."""
        assert self._tail is not None and self._opened is not None
        hub = self._opened.hub
        if self._channel is None:
            self._channel = hub.join(self._wanted.context_id)
            # Also for a subscription that is dropped without being closed; it runs once, whoever is first.
            leave = finalize(self, hub.leave, self._channel)
            leave.atexit = False
            self._leave = leave
        position = self._tail.position
        entries = hub.behind(self._channel, position, waiter)
        if entries is None:
            self._caught_up = False
            return True
        self._tail.feed(entries, selected=False)
        return self._tail.position != position

    def _patience(self) -> float:
        """Seconds to wait now; not above zero when the caller's timeout is over."""
        if self._wanted.timeout is None:
            return LONGEST_WAIT
        return min(self._last_change + self._wanted.timeout - time.monotonic(), LONGEST_WAIT)

    def _end(self, waiter: Subscription | AsyncSubscription) -> None:
        self._ended = True
        self._forget(waiter)
        if self._leave is not None:
            self._leave()

    def _forget(self, waiter: Subscription | AsyncSubscription) -> None:
        if self._channel is not None and self._opened is not None:
            self._opened.hub.forget(self._channel, waiter)


class Subscription(_Following, Iterator[Change]):
    """An iterator over changes, in order, without gap or repetition; it waits for what comes.

    Leave it by `break` and `close()`, or use it as a context manager. `close()` may be called from another thread
    and ends the iteration there; it may be called again.
    """

    loop = None

    def __init__(self, log: Log, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._log = log
        self._event = threading.Event()
        self._start(log.open())

    def __next__(self) -> Change:
        assert self._tail is not None
        while not self._ended:
            change = self._take()
            if change is not None:
                return change
            try:
                if not self._caught_up:
                    self._feed(self._log.page(self._wanted.selection, self._tail.position, self._pages.limit))
                elif self._wanted.follow:
                    self._wait()
                else:
                    break
            except StoreClosed:
                if not self._ended:  # or else it is the store's own close that ended the subscription
                    raise
        self.close()
        raise StopIteration

    def _wait(self) -> None:
        self._event.clear()
        if self._ended or self._look(self):
            return
        patience = self._patience()
        if patience <= 0:
            self._ended = True
        else:
            try:
                self._event.wait(patience)
            except BaseException:  # interrupted: nobody waits any more, and the channel must not keep it alive
                self._forget(self)
                raise

    def wake(self) -> None:
        """Makes a waiting iteration look again; the hub calls it."""
        self._event.set()

    def close(self) -> None:
        """Ends the subscription. Idempotent; from any thread."""
        self.stop()

    def stop(self) -> None:
        """What `close` does, for the store that closes."""
        self._end(self)
        self._event.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSubscription(_Following, AsyncIterator[Change]):
    """The same for an event loop. A subscription from "now" starts with `async with`, or else with the first step."""

    def __init__(self, log: AsyncLog, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._log = log
        self.loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Future[None] | None = None
        self._iterating = False

    async def __anext__(self) -> Change:
        if self._iterating:
            raise UsageError("the subscription is already waited for by another task; subscribe once for each")
        self._iterating = True
        try:
            return await self._next()
        finally:
            self._iterating = False

    async def _next(self) -> Change:
        await self._begin()
        assert self._tail is not None
        while not self._ended:
            change = self._take()
            if change is not None:
                return change
            try:
                if not self._caught_up:
                    self._feed(await self._log.page(self._wanted.selection, self._tail.position, self._pages.limit))
                elif self._wanted.follow:
                    await self._wait()
                else:
                    break
            except StoreClosed:
                if not self._ended:
                    raise
        await self.close()
        raise StopAsyncIteration

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self.loop is not None and self.loop is not loop:
            raise WrongEventLoop("the subscription belongs to another event loop; subscribe again in this one")
        if self._tail is None:
            self.loop = loop
            self._start(await self._log.open())

    async def _wait(self) -> None:
        assert self.loop is not None
        self._woken = self.loop.create_future()
        if self._ended or self._look(self):
            return
        patience = self._patience()
        if patience <= 0:
            self._ended = True
            return
        timer = self.loop.call_later(patience, self.wake)
        try:
            await self._woken
        except BaseException:  # cancelled: nobody waits any more, and the channel must not keep it alive
            self._forget(self)
            raise
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Makes a waiting iteration look again; the hub calls it, on the event loop."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def close(self) -> None:
        """Ends the subscription. Idempotent; from any task of its event loop."""
        self.stop()

    def stop(self) -> None:
        """What `close` does, for the store that closes."""
        self._end(self)
        self.wake()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
