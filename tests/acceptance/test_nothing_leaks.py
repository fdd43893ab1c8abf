"""What is dropped without being closed is given back: descriptors, threads, and memory."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from figures import report

from chatstore import AsyncChatStore, ChatStore, core
from chatstore.live.hub import Hub

pytestmark = pytest.mark.slow

GROWTH = 2_500_000
PARTS = 5
"""Of a long test, in which growth is looked at."""
"""Bytes by which a process may grow over the second half of the times: in the first its allocator makes the rooms that
it keeps. 5,000 times anything of half a kilobyte are more."""

many = pytest.mark.parametrize(
    "times", [1_000, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)])]
)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform.startswith("linux") else 0


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    if not sys.platform.startswith("linux"):
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def channels(hub: Hub) -> int:
    """How many histories the hub still follows."""
    gc.collect()
    return len(hub._channels)


def hub_of(store: ChatStore | AsyncChatStore) -> Hub:
    assert store._core is not None
    return store._core.hub


async def reached(state: Callable[[], bool]) -> None:
    """Waits for something that another thread does."""
    async with asyncio.timeout(20):
        while not state():
            await asyncio.sleep(0.001)


def usage() -> tuple[int, int]:
    return descriptors(), threading.active_count()


@many
async def test_subscriptions_dropped_without_close_leave_nothing(tmp_path: Path, times: int) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        store.history("a").append_user_message("hello")
        with store.history("a").subscribe(timeout=0) as first:
            list(first)
        await reached(lambda: hub_of(store)._waker is not None)
        assert store.history("a").count()
        before, grown = usage(), 0
        for number in range(times):
            grown = resident() if number == times // 2 else grown
            subscription = store.history("a" if number % 2 else f"silent {number}").subscribe(timeout=0)
            if number % 3:
                next(subscription, None)
        del subscription
        await reached(lambda: channels(hub_of(store)) == 0)
        assert usage() == before
        grown = resident() - grown
    assert core._cores == {}
    report("subscriptions dropped", times=times, bytes_grown=grown)
    assert grown < GROWTH


@many
async def test_async_subscriptions_cancelled_while_they_wait_leave_nothing(tmp_path: Path, times: int) -> None:
    async with AsyncChatStore(tmp_path / "chat.db") as store:
        hub = hub_of(store)

        async def wait(number: int) -> None:
            async for _ in store.history(f"silent {number}").subscribe():
                raise AssertionError("nobody writes here")

        async def drop(first: int, count: int) -> None:
            tasks = [asyncio.ensure_future(wait(number)) for number in range(first, first + count)]
            names = [f"silent {number}" for number in range(first, first + count)]
            await reached(lambda: all(name in hub._channels and hub._channels[name].waiting for name in names))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=20)

        await drop(0, 100)
        await reached(lambda: hub._waker is not None)
        before, grown = usage(), 0
        for first in range(100, times, 50):
            grown = resident() if first == times // 2 else grown
            await drop(first, 50)
        await reached(lambda: channels(hub) == 0)
        after, grown = usage(), resident() - grown
        assert (after[0] <= before[0], after[1] <= before[1]) == (True, True), (before, after)
    report("async subscriptions cancelled", times=times, bytes_grown=grown)
    assert grown < GROWTH


@pytest.mark.parametrize(
    "times", [200, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_stores_opened_and_closed_leave_nothing(tmp_path: Path, times: int) -> None:
    async def once() -> None:
        async with AsyncChatStore(tmp_path / "chat.db") as store:
            await store.history("a").append_user_message("hello")
            async with store.history("a").subscribe() as subscription:
                await anext(subscription)

    def once_sync() -> None:
        with ChatStore(tmp_path / "chat.db") as store:
            store.history("a").append_user_message("hello")
            with store.history("a").subscribe() as subscription:
                next(subscription)

    uses: list[Callable[[], None]] = [once_sync, lambda: asyncio.run(once())]
    for use in uses:
        use()
    gc.collect()
    before, sizes = usage(), []
    for number in range(times):
        if number % (times // PARTS) == 0:
            sizes.append(resident())
        uses[number % 2]()
    sizes.append(resident())
    # What leaks grows in every part. Memory that Python keeps in pieces of a megabyte comes in one of them or another.
    grown = PARTS * min(later - earlier for earlier, later in pairwise(sizes))
    assert usage() == before
    assert core._cores == {}
    report("opened and closed", times=times, descriptors=before[0], threads=before[1], bytes_grown=grown)
    assert grown < GROWTH
