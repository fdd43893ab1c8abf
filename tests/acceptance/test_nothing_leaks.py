"""What is dropped without being closed is given back, and no process waits for a store at its end."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checker import check_numbers
from children import running, script
from figures import report

from chatstore import AsyncChatStore, ChatStore, core
from chatstore.live.hub import Hub

MANY = 1_000
ENDS = {
    "normal": 0,
    "sys.exit": 3,
    "exception": 1,
    "subscription never iterated": 0,
    "subscriber in a daemon thread": 0,
    "event loop closed": 0,
    "async subscriber left running": 0,
    "subscription never awaited": 0,
}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform.startswith("linux") else 0


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


async def test_subscriptions_dropped_without_close_leave_nothing(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        store.history("a").append_user_message("hello")
        with store.history("a").subscribe(timeout=0) as first:
            list(first)
        await reached(lambda: hub_of(store)._waker is not None)
        assert store.history("a").count()
        before = usage()
        for number in range(MANY):
            subscription = store.history("a" if number % 2 else f"silent {number}").subscribe(timeout=0)
            if number % 3:
                next(subscription, None)
        del subscription
        await reached(lambda: channels(hub_of(store)) == 0)
        assert usage() == before
    assert core._cores == {}


async def test_async_subscriptions_cancelled_while_they_wait_leave_nothing(tmp_path: Path) -> None:
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
        before = usage()
        for first in range(100, MANY, 50):
            await drop(first, 50)
        await reached(lambda: channels(hub) == 0)
        after = usage()
        assert (after[0] <= before[0], after[1] <= before[1]) == (True, True), (before, after)


def test_stores_opened_and_closed_leave_nothing(tmp_path: Path) -> None:
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
    before = descriptors(), threading.active_count()
    for number in range(200):
        uses[number % 2]()
    gc.collect()
    assert (descriptors(), threading.active_count()) == before
    assert core._cores == {}
    report("opened and closed", times=200, descriptors=before[0], threads=before[1])


@pytest.mark.parametrize("way", ENDS)
def test_a_process_that_never_closes_its_store_ends_within_two_seconds(tmp_path: Path, way: str) -> None:
    path = tmp_path / "chat.db"
    child = script("ends", path=path, way=way, seconds=30, warnings="ignore::ResourceWarning")
    with running(child):
        leaving = child.answer()
        assert child.wait() == ENDS[way], child.stderr
        seconds = time.monotonic() - leaving
    expected = "RuntimeError: on purpose" if way == "exception" else ""
    assert child.stderr.strip().splitlines()[-1:] == ([expected] if expected else []), child.stderr
    check_numbers(path)
    report(f"ended by {way}", seconds=seconds)
    assert seconds < 2
