"""Subscriptions to what is at a server, for an event loop: a task of each reads its connection.

So a step whose wait was cancelled has lost nothing, and the next one goes on with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Any
from weakref import finalize

import httpx

from chatstore.changes import Change
from chatstore.cursor import Cursor
from chatstore.errors import ChatStoreError, StoreClosed, UsageError, WrongEventLoop
from chatstore.live.following import AsyncFollowing
from chatstore.live.store_subscription import AsyncStoreSubscription
from chatstore.live.subscription import AsyncSubscription
from chatstore.remote import answers
from chatstore.remote.async_link import AsyncLink
from chatstore.remote.feed import Feed
from chatstore.remote.link import CONNECT
from chatstore.remote.subscription import check_stream, silence

Opening = Callable[[], Awaitable[tuple[AsyncLink, float]]]
"""Gives the link to the server, and the seconds between two signs of life of its streams."""


class Pump:
    """Reads a feed in the background. It knows nothing of the subscription, which may be dropped meanwhile."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.error: Exception | None = None
        self.task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._room = asyncio.Event()

    def start(self, link: AsyncLink, heartbeat: float) -> None:
        """Reads on, from where it was left."""
        self.error = None
        self.task = asyncio.get_running_loop().create_task(self._run(link, heartbeat))

    async def moved(self) -> None:
        """Waits until there is something new."""
        self._room.set()
        await self._moved.wait()
        self._moved.clear()

    def cancel(self) -> None:
        """Ends it."""
        if self.task is not None:
            self.task.cancel()
        self._moved.set()

    async def _run(self, link: AsyncLink, heartbeat: float) -> None:
        patience = link.attempts()
        try:
            while not self.feed.complete:
                error: Exception | None = None
                try:
                    await self._read(link, heartbeat, patience)
                except (*answers.BROKEN, ChatStoreError) as failure:
                    error = failure
                if not self.feed.complete:
                    await asyncio.sleep(self.feed.broke(error, patience, link.address))
        except Exception as error:
            self.error = error
        finally:
            self._moved.set()

    async def _read(self, link: AsyncLink, heartbeat: float, patience: Any) -> None:
        timeout = httpx.Timeout(silence(heartbeat, None), connect=CONNECT, read=silence(heartbeat, self.feed.left()))
        async with link.client.stream("POST", self.feed.path, content=self.feed.request(), timeout=timeout) as response:
            if response.status_code != 200:
                raise answers.refusal(response.status_code, await response.aread(), link.address)
            check_stream(response, link.address)
            async for piece in response.aiter_bytes():
                self.feed.feed(piece, patience)
                self._moved.set()
                if self.feed.complete:
                    return
                if self.feed.full:
                    self._room.clear()
                    await self._room.wait()


class _AsyncRemote(AsyncFollowing[Any, Any, Any]):
    """The steps on an event loop: give out what is ready, wait for the task that reads."""

    def __init__(self, opening: Opening, feed: Feed) -> None:
        self._opening = opening
        self._pump = Pump(feed)
        self._ended = False
        self._iterating = False
        self.loop = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'ended' if self._ended else f'at {self.cursor}'}>"

    @property
    def cursor(self) -> Cursor | None:
        """As `Subscription.cursor`."""
        return self._pump.feed.cursor

    async def _next(self, until: float = inf) -> Change | None:
        if self._iterating:
            raise UsageError("the subscription is already waited for by another task; subscribe once for each")
        self._iterating = True
        try:
            await self._begin()
            while not self._ended:
                if (change := self._pump.feed.take()) is not None:
                    return change
                if self._pump.feed.complete:
                    break
                if (left := until - time.monotonic()) <= 0:
                    return None
                await self._step(left)
        finally:
            self._iterating = False
        await self.close()
        return None

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self.loop is not None and self.loop is not loop:
            raise WrongEventLoop("the subscription belongs to another event loop; subscribe again in this one")
        if self._ended:
            return
        if self.loop is None:
            try:
                self._link, self._heartbeat = await self._opening()
            except StoreClosed:
                if self._ended:  # it is the store's own close that ended it
                    return
                raise
            self.loop = loop
            self._dropped = finalize(self, _cancel_from_anywhere, loop, self._pump)
            self._dropped.atexit = False
        while not self._pump.feed.started and not self._pump.feed.complete and not self._ended:
            await self._step()

    async def _step(self, left: float = inf) -> None:
        pump = self._pump
        if (error := pump.error) is not None:
            pump.error = None  # the next step tries again
            raise error
        if pump.task is None or pump.task.done():
            pump.start(self._link, self._heartbeat)
        if left == inf:
            await pump.moved()
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(pump.moved(), left)

    async def close(self) -> None:
        """Ends the subscription. Idempotent; from any task of its event loop."""
        self.stop()
        task = self._pump.task
        if task is not None and task is not asyncio.current_task():
            with suppress(StoreClosed):
                # `wait` does not raise what the task did, nor its cancellation, which was asked for here.
                await asyncio.wait([task])

    def stop(self) -> None:
        """What `close` does, for the store that closes."""
        self._ended = True
        self._pump.cancel()


def _cancel_from_anywhere(loop: asyncio.AbstractEventLoop, pump: Pump) -> None:
    """The garbage collector works in any thread."""
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(pump.cancel)


class AsyncRemoteSubscription(_AsyncRemote, AsyncSubscription):
    """`RemoteSubscription` for an event loop. From "now" it starts with `async with`, or else with the first step."""


class AsyncRemoteStoreSubscription(_AsyncRemote, AsyncStoreSubscription):
    """The same for a whole store."""
