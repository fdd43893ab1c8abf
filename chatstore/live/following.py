"""What every subscription does, whatever it follows: give out, read on, wait, end. Once for threads, once for loops.

Order of the steps: ask to be woken, read, and wait only when there was nothing; every wait has a time limit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar, cast

from chatstore.changes import Change
from chatstore.cursor import Cursor
from chatstore.errors import StoreClosed, UsageError, WrongEventLoop
from chatstore.live.channel import Waiter
from chatstore.live.paging import PageSize
from chatstore.live.tail import Batch
from chatstore.wire.framing import sse_of

LONGEST_SLEEP = 30.0
"""Seconds after which a waiting thread looks again, unasked. On an event loop the hub sees to that, for all at once:
ten thousand timers cost more than what waits for them."""


class Asked(Protocol):
    """What a caller subscribed to, as far as every subscription has it."""

    @property
    def follow(self) -> bool:
        """Whether it waits for what comes."""

    @property
    def timeout(self) -> float | None:
        """Seconds without a change after which it ends."""


class Outgoing(Protocol):
    """What is to be given out."""

    @property
    def over(self) -> bool:
        """Whether nothing will follow what is ready."""

    def take(self) -> Change | None:
        """The next change that is ready."""


W = TypeVar("W", bound=Asked)
W_contra = TypeVar("W_contra", bound=Asked, contravariant=True)
O = TypeVar("O")  # noqa: E741
O_co = TypeVar("O_co", covariant=True)
P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)


class Source(Protocol[W_contra, O_co, P_co]):
    """Where the changes are read."""

    def open(self) -> O_co:
        """Where to begin."""

    def page(self, wanted: W_contra, after: int, limit: int) -> P_co:
        """The next changes behind a place."""


class AsyncSource(Protocol[W_contra, O_co, P_co]):
    """The same, awaited."""

    async def open(self) -> O_co:
        """Where to begin."""

    async def page(self, wanted: W_contra, after: int, limit: int) -> P_co:
        """The next changes behind a place."""


class Following(ABC, Generic[W, O, P]):
    """A place in a log, and the patience of the caller. What log that is, the subclasses know."""

    # All that an instance will ever have is set when it is made: what is added later makes Python give each a
    # dictionary of its own, which takes more memory than all the rest of a subscription that waits.
    def __init__(self, wanted: W) -> None:
        self._wanted = wanted
        self._opened = cast("O", None)
        self._tail = cast("Outgoing", None)
        self._pages = PageSize()
        self._started = False
        self._caught_up = False
        self._ended = False
        self._last_change = 0.0

    @property
    @abstractmethod
    def cursor(self) -> Cursor | None:
        """Where to resume."""

    @abstractmethod
    def _start(self, opened: O) -> None:
        """Takes the place to begin at; raises where that is none."""

    @abstractmethod
    def _place(self) -> int:
        """Behind what to read on."""

    @abstractmethod
    def _feed(self, page: P) -> None:
        """Takes a page, and knows then whether it has caught up."""

    def _accept(self, batch: Batch) -> None:
        """Takes what follows its position, where the hub hands that over."""

    @abstractmethod
    def _look(self, waiter: Waiter) -> bool:
        """Whether there is something to go on with. If not, the waiter will be woken."""

    @abstractmethod
    def _forget(self, waiter: Waiter) -> None:
        """Takes that back."""

    def _soon(self) -> float | None:
        """Seconds after which to look again, whether woken or not, where that is known to be worth it."""
        return None

    def _state(self) -> str:
        return "ended" if self._ended else f"at {self.cursor}" if self._started else "not begun"

    def _begin_with(self, opened: O) -> None:
        self._start(opened)
        self._opened = opened
        self._started = True
        self._last_change = time.monotonic()

    def _take(self) -> Change | None:
        change = self._tail.take()
        if change is not None and self._wanted.timeout is not None:
            self._last_change = time.monotonic()
        return change

    def _is_over(self) -> bool:
        """Whether nothing will follow what was ready."""
        return self._tail.over or (self._caught_up and not self._wanted.follow)

    def _patience(self) -> float | None:
        """Seconds left of the caller's timeout, if there is one; not above zero when it is over, and then this has
        ended."""
        if self._wanted.timeout is None:
            return None
        left = self._last_change + self._wanted.timeout - time.monotonic()
        self._ended |= left <= 0
        return left

    def _end(self, waiter: Waiter) -> None:
        self._ended = True
        self._forget(waiter)


class SyncFollowing(Following[W, O, P], Iterator[Change]):
    """The steps on a thread."""

    loop = None

    def __init__(self, source: Source[W, O, P], wanted: W) -> None:
        super().__init__(wanted)
        self._source = source
        self._gate = threading.Lock()  # shut while there is nothing to look for; a lock costs less than an Event
        self._gate.acquire()
        self._begin_with(source.open())

    def __next__(self) -> Change:
        if (change := self._next()) is None:
            raise StopIteration
        return change

    def _next(self, until: float = inf) -> Change | None:
        """The next change; None at the end, and when there was none by a time."""
        while not self._ended:
            if (change := self._take()) is not None:
                return change
            try:
                if self._is_over():
                    break
                if not self._caught_up:
                    self._feed(self._source.page(self._wanted, self._place(), self._pages.limit))
                elif not self._look(self):
                    if (left := until - time.monotonic()) <= 0:
                        return None
                    self._wait(left)
            except StoreClosed:
                if not self._ended:  # or else it is the store's own close that ended the subscription
                    raise
        self.close()
        return None

    def sse(self, *, heartbeat: float = 15.0) -> Iterator[bytes]:
        """The changes as server-sent events, for the streaming response of a web framework of your own.

        `id:` is the cursor to resume at, `event:` the kind of change, `data:` one line of JSON. Where nothing comes for
        `heartbeat` seconds there is an event of that name with the cursor, so that no proxy takes it for dead.
        """
        while True:
            change = self._next(time.monotonic() + heartbeat)
            if change is None and self._ended:
                return
            yield sse_of(change, self.cursor)

    def _wait(self, left: float) -> None:
        patience, soon = self._patience(), self._soon()
        if self._ended:
            return
        try:
            self._gate.acquire(timeout=min(one for one in (patience, soon, left, LONGEST_SLEEP) if one is not None))
        except BaseException:  # interrupted: nobody waits any more, and the hub must not keep it alive
            self._forget(self)
            raise

    def wake(self, batch: Batch | None = None) -> None:
        """Makes a waiting iteration look again; the hub calls it."""
        with suppress(RuntimeError):  # it is open already
            self._gate.release()

    def close(self) -> None:
        """Ends the subscription. Idempotent; from any thread."""
        self.stop()

    def stop(self) -> None:
        """What `close` does, for the store that closes."""
        self._end(self)
        self.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncFollowing(Following[W, O, P], AsyncIterator[Change]):
    """The steps on an event loop."""

    def __init__(self, source: AsyncSource[W, O, P], wanted: W) -> None:
        super().__init__(wanted)
        self._source = source
        self.loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Future[None] | None = None
        self._iterating = False

    async def __anext__(self) -> Change:
        if (change := await self._next()) is None:
            raise StopAsyncIteration
        return change

    async def sse(self, *, heartbeat: float = 15.0) -> AsyncIterator[bytes]:
        """As `Subscription.sse`."""
        while True:
            change = await self._next(time.monotonic() + heartbeat)
            if change is None and self._ended:
                return
            yield sse_of(change, self.cursor)

    async def _next(self, until: float = inf) -> Change | None:
        """The next change; None at the end, and when there was none by a time."""
        if self._iterating:
            raise UsageError("the subscription is already waited for by another task; subscribe once for each")
        self._iterating = True
        try:
            # Each step looks: a future of another loop would never wake who waits for it.
            if self.loop is not asyncio.get_running_loop():
                await self._begin()
            while not self._ended:
                if (change := self._take()) is not None:
                    return change
                try:
                    if self._is_over():
                        break
                    if not self._caught_up:
                        self._feed(await self._source.page(self._wanted, self._place(), self._pages.limit))
                    elif not self._look(self):
                        if (left := until - time.monotonic()) <= 0:
                            return None
                        await self._until_woken(left)
                except StoreClosed:
                    if not self._ended:
                        raise
        except BaseException:  # cancelled: nobody waits any more, and the hub must not keep it alive
            self._forget(self)
            raise
        finally:
            self._iterating = False
        await self.close()
        return None

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self.loop is not None and self.loop is not loop:
            raise WrongEventLoop("the subscription belongs to another event loop; subscribe again in this one")
        if self._started or self._ended:
            return
        try:
            opened = await self._source.open()
        except StoreClosed:
            if self._ended:  # it is the store's own close that ended it
                return
            raise
        self.loop = loop
        self._begin_with(opened)

    def _until_woken(self, left: float) -> asyncio.Future[None]:
        """Made after the hub was asked: on this loop nobody can have called `wake` in between."""
        assert self.loop is not None
        self._woken = woken = self.loop.create_future()
        patience = self._patience()
        if self._ended:
            woken.set_result(None)
        elif limits := [one for one in (patience, self._soon(), left) if one not in (None, inf)]:
            timer = self.loop.call_later(min(limits), self.wake)
            woken.add_done_callback(lambda _: timer.cancel())
        return woken

    def wake(self, batch: Batch | None = None) -> None:
        """Makes a waiting iteration go on; the hub calls it, on the event loop."""
        woken = self._woken
        if woken is not None and not woken.done():
            if batch is not None:
                self._accept(batch)
            woken.set_result(None)

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
