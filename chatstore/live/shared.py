"""Reads that several want at the same time, done once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """The reads of an event loop. Each begins after all who get it have asked. Somebody who asks while the same is
    being read waits for the next read: what he asks for may have been written meanwhile."""

    def __init__(self) -> None:
        self._going_on: dict[Hashable, asyncio.Future[T]] = {}
        self._next: dict[Hashable, asyncio.Future[T]] = {}

    async def read(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What the next read of that name gives."""
        found = self._next.get(key)
        if found is None:
            found = self._next[key] = asyncio.ensure_future(self._begin(key, work))
            found.add_done_callback(lambda done: self._end(key, done))
        # Whoever stops waiting does not take it from the others.
        return await asyncio.shield(found)

    async def _begin(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        if (before := self._going_on.get(key)) is not None:
            with suppress(Exception):
                await asyncio.shield(before)
        self._going_on[key] = self._next.pop(key)
        return await work()

    def _end(self, key: Hashable, done: asyncio.Future[T]) -> None:
        for reads in (self._going_on, self._next):
            if reads.get(key) is done:
                del reads[key]
        if not done.cancelled():
            done.exception()  # everybody who waited may be gone by now
