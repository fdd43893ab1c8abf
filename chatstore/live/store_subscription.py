"""Subscriptions to a whole store: the changes of every context, or of those that match, under one cursor."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from chatstore.changes import Change
from chatstore.cursor import NOW, Cursor, StoreCursors
from chatstore.errors import StoreClosed
from chatstore.kinds import Selection
from chatstore.live.hub import Hub
from chatstore.live.paging import PageSize
from chatstore.live.subscription import LONGEST_WAIT
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


class Feed(Protocol):
    """Reads the log of the store."""

    def open(self) -> Opened:
        """Where to begin."""

    def page(self, wanted: Wanted, after: int, limit: int) -> FeedPage:
        """The next changes."""


class AsyncFeed(Protocol):
    """The same, awaited."""

    async def open(self) -> Opened:
        """Where to begin."""

    async def page(self, wanted: Wanted, after: int, limit: int) -> FeedPage:
        """The next changes."""


class _Following:
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._opened: Opened | None = None
        self._position = self._handled = 0
        self._ready: deque[tuple[int, Change]] = deque()
        self._pages = PageSize()
        self._ended = False
        self._last_change = time.monotonic()

    @property
    def cursor(self) -> Cursor | None:
        """Where to resume: behind the last change that was given out. None before it has started."""
        if self._opened is None:
            return None
        return self._opened.cursors.at(self._handled if self._ready else self._position)

    def _start(self, opened: Opened) -> None:
        after = self._wanted.after
        start = 0 if after is None else opened.head if after == NOW else opened.cursors.position(after)
        check_within(start, opened.head)
        self._opened = opened
        self._position = self._handled = start
        self._last_change = time.monotonic()

    def _take(self) -> Change | None:
        if not self._ready:
            return None
        self._handled, change = self._ready.popleft()
        self._last_change = time.monotonic()
        return change

    def _feed(self, page: FeedPage) -> bool:
        """Takes a page; whether it brought the position on."""
        moved = page.position > self._position
        self._position = page.position
        self._ready.extend(page.entries)
        self._pages.learn(change for _, change in page.entries)
        return moved

    def _patience(self) -> float:
        if self._wanted.timeout is None:
            return LONGEST_WAIT
        return min(self._last_change + self._wanted.timeout - time.monotonic(), LONGEST_WAIT)


class StoreSubscription(_Following, Iterator[Change]):
    """An iterator over the changes of a store: in order within each context, and in the order of the commits.

    `cursor` says where to resume; the changes carry the cursors of their own contexts. Contexts that come into being
    join by themselves. It ends, closes and waits like a Subscription.
    """

    loop = None

    def __init__(self, feed: Feed, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._log = feed
        self._event = threading.Event()
        self._start(feed.open())

    def __next__(self) -> Change:
        while not self._ended:
            change = self._take()
            if change is not None:
                return change
            try:
                self._look()
            except StoreClosed:
                if not self._ended:
                    raise
        self.close()
        raise StopIteration

    def _look(self) -> None:
        assert self._opened is not None
        self._event.clear()
        self._opened.hub.listen(self)
        if self._feed(self._log.page(self._wanted, self._position, self._pages.limit)):
            return
        patience = self._patience()
        if not self._wanted.follow or patience <= 0:
            self._ended = True
        elif not self._ended:
            self._event.wait(patience)

    def wake(self) -> None:
        """Makes a waiting iteration look again; the hub calls it."""
        self._event.set()

    def close(self) -> None:
        """Ends the subscription. Idempotent; from any thread."""
        self.stop()

    def stop(self) -> None:
        """What `close` does, for the store that closes."""
        self._ended = True
        if self._opened is not None:
            self._opened.hub.unlisten(self)
        self._event.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStoreSubscription(_Following, AsyncIterator[Change]):
    """The same for an event loop. A subscription from "now" starts with `async with`, or else with the first step."""

    def __init__(self, feed: AsyncFeed, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._log = feed
        self.loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Future[None] | None = None

    async def __anext__(self) -> Change:
        await self._begin()
        while not self._ended:
            change = self._take()
            if change is not None:
                return change
            try:
                await self._look()
            except StoreClosed:
                if not self._ended:
                    raise
        await self.close()
        raise StopAsyncIteration

    async def _begin(self) -> None:
        if self._opened is None:
            self.loop = asyncio.get_running_loop()
            self._start(await self._log.open())

    async def _look(self) -> None:
        assert self._opened is not None and self.loop is not None
        self._woken = self.loop.create_future()
        self._opened.hub.listen(self)
        if self._feed(await self._log.page(self._wanted, self._position, self._pages.limit)):
            return
        patience = self._patience()
        if not self._wanted.follow or patience <= 0:
            self._ended = True
            return
        timer = self.loop.call_later(patience, self.wake)
        try:
            await self._woken
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
        self._ended = True
        if self._opened is not None:
            self._opened.hub.unlisten(self)
        self.wake()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
