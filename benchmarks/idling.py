"""Ten thousand subscribers that have nothing to do, in a process of their own: what they take of a core and of memory.

Both contenders idle from their start to the end of the benchmark, side by side. A round of one waits a little, and
reads what its process used over the last half minute: a whole turn of the slowest timer that a subscriber has.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import Line, child
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale, Unavailable
from benchmarks.stores import UNSYNCED, directory
from chatstore import AsyncChatStore, ChatStore

SUBSCRIBERS, IN_QUICK, EACH, AT_ONCE = 10_000, 2_000, 10, 100
"""All of them, how many follow one context, and how many start at the same time: to start takes more memory for a
while than to wait, and what a process was given it keeps."""
WINDOW = 30.0
"""Seconds over which the use of the processor is taken."""
PAGES = Path("/proc/self/statm")


@contextmanager
def _chatstore(scale: Scale) -> Iterator[Callable[[], Round]]:
    with directory() as path:
        with ChatStore(path / "chat.db", durability=UNSYNCED) as store:
            for number in range(_subscribers(scale) // EACH):
                store.history(f"context-{number}").append_user_message("the first change")
        with _idle(scale, hold_subscriptions, _subscribers(scale), path / "chat.db") as one:
            yield one


@contextmanager
def _tasks(scale: Scale) -> Iterator[Callable[[], Round]]:
    with _idle(scale, hold_tasks, _subscribers(scale)) as one:
        yield one


@contextmanager
def _idle(scale: Scale, work: Callable[..., None], *arguments: object) -> Iterator[Callable[[], Round]]:
    if not PAGES.exists():
        raise Unavailable(f"resident memory is read from {PAGES}, which only Linux has")
    with child(work, *arguments) as line:
        memory = line.receive()
        samples: list[tuple[float, float]] = [line.ask("used")]

        def one() -> Round:
            time.sleep(scale.of(4, 1))
            samples.append(line.ask("used"))
            (end, used), earlier = samples[-1], [*samples[:-1]]
            begun, before = next((one for one in reversed(earlier) if end - one[0] >= WINDOW), earlier[0])
            return {"processor": [(used - before) / (end - begun)], "memory": [memory / _subscribers(scale)]}

        yield one


def _subscribers(scale: Scale) -> int:
    return scale.of(SUBSCRIBERS, IN_QUICK)


def hold_subscriptions(line: Line, count: str, path: str) -> None:
    """Subscribers that have caught up."""
    asyncio.run(_subscriptions(line, int(count), path))


async def _subscriptions(line: Line, count: int, path: str) -> None:
    async with AsyncChatStore(path, durability=UNSYNCED) as store, asyncio.TaskGroup() as tasks:
        await store.contexts(limit=1)
        before = _resident()
        waiting = asyncio.Semaphore(0)
        for begin in range(0, count, AT_ONCE):
            for number in range(begin, begin + AT_ONCE):
                tasks.create_task(_follow(store.history(f"context-{number // EACH}").subscribe(), waiting))
            for _ in range(AT_ONCE):
                await waiting.acquire()
        await _tell(line, before)
        await store.close()


async def _follow(changes: AsyncIterator[object], waiting: asyncio.Semaphore) -> None:
    async for _ in changes:
        waiting.release()


def hold_tasks(line: Line, count: str) -> None:
    """Tasks that wait for a future each."""
    asyncio.run(_futures(line, int(count)))


async def _futures(line: Line, count: int) -> None:
    before = _resident()
    tasks = [asyncio.create_task(_wait()) for _ in range(count)]
    await asyncio.sleep(0)
    await _tell(line, before)
    for task in tasks:
        task.cancel()


async def _wait() -> None:
    await asyncio.get_running_loop().create_future()


async def _tell(line: Line, before: int) -> None:
    """The memory that came with them, then the clock and the processor time whenever they are asked for."""
    await asyncio.sleep(1)
    line.send(_resident() - before)
    try:
        while True:
            await asyncio.to_thread(line.receive)
            line.send((time.monotonic(), time.process_time()))
    except EOFError:
        return


def _resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


BENCHMARKS = (
    Benchmark(
        "idling",
        f"{SUBSCRIBERS:,} idle subscribers in one process (--quick: {IN_QUICK:,}), {EACH} on each context",
        (
            Contender("chatstore", _chatstore, "async subscriptions, each with its task"),
            Contender("bare tasks", _tasks, "the limit: each waits for a future"),
        ),
        (
            Goal(
                "10,000 idle subscribers: share of a core, over 30 s (--quick: a few seconds of 2,000, too little)",
                metric="processor",
                at_most=0.005,
            ),
            Goal("idle subscribers: bytes of memory each", metric="memory", at_most=4096),
        ),
        {"processor": ("% of a core", 100), "memory": ("kB each", 1 / 1024)},
        ("mean",),
    ),
)
