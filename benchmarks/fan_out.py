"""A thousand subscribers of one event loop on one context, and one change at a time: when the last one has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial

from benchmarks import material
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale
from benchmarks.stores import NOTE_UNSYNCED, UNSYNCED, directory
from chatstore import AsyncChatStore, Change

SUBSCRIBERS = 1_000


class Arrivals:
    """Counts who has a change, and tells when everybody has."""

    def __init__(self) -> None:
        self.missing = SUBSCRIBERS
        self._all = asyncio.Event()

    def one(self) -> None:
        """One more has it."""
        self.missing -= 1
        if not self.missing:
            self._all.set()

    async def last(self) -> None:
        """Returns when the last one has it; then the next change may come."""
        await self._all.wait()
        self._all.clear()
        self.missing = SUBSCRIBERS


async def _round(commit: Callable[[str], Awaitable[object]], arrivals: Arrivals, texts: Sequence[str]) -> Round:
    """The time from before the call to the last arrival, and the processor time of all of it."""
    seconds, processor = [], []
    for text in texts:
        used, begun = time.process_time(), time.perf_counter()
        await commit(text)
        await arrivals.last()
        seconds.append(time.perf_counter() - begun)
        processor.append((time.process_time() - used) / SUBSCRIBERS)
    return {"seconds": seconds, "processor": processor}


@contextmanager
def _started(
    subscribers: Callable[[Arrivals], AbstractAsyncContextManager[Callable[[str], Awaitable[object]]]], scale: Scale
) -> Iterator[Callable[[], Round]]:
    """Subscribers that wait, on an event loop of their own, and what wakes them."""
    with asyncio.Runner() as runner:
        stack, arrivals = AsyncExitStack(), Arrivals()
        commit = runner.run(stack.enter_async_context(subscribers(arrivals)))
        texts = material.texts()[: scale.of(50, 10)]
        yield lambda: runner.run(_round(commit, arrivals, texts))
        runner.run(stack.aclose())


@asynccontextmanager
async def _chatstore(arrivals: Arrivals) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    with directory() as path:
        async with AsyncChatStore(path / "chat.db", durability=UNSYNCED) as store, asyncio.TaskGroup() as tasks:
            history = store.history("fan-out")
            for _ in range(SUBSCRIBERS):
                tasks.create_task(_follow(history.subscribe(), arrivals))
            await history.append_assistant_message("everybody has this one before the first round")
            await arrivals.last()
            yield history.append_assistant_message
            await store.close()


async def _follow(changes: AsyncIterator[Change], arrivals: Arrivals) -> None:
    async for _ in changes:
        arrivals.one()


@asynccontextmanager
async def _futures(arrivals: Arrivals) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    """Tasks that wait for a future each, and a commit that resolves them."""
    waiting: list[asyncio.Future[str]] = []

    async def wake(text: str) -> None:
        woken = waiting.copy()
        waiting.clear()
        for future in woken:
            future.set_result(text)

    tasks = [asyncio.create_task(_wait(waiting, arrivals)) for _ in range(SUBSCRIBERS)]
    await asyncio.sleep(0)
    yield wake
    for task in tasks:
        task.cancel()


async def _wait(waiting: list[asyncio.Future[str]], arrivals: Arrivals) -> None:
    while True:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        await future
        arrivals.one()


BENCHMARKS = (
    Benchmark(
        "fan-out",
        f"a commit until the last of {SUBSCRIBERS:,} async subscribers has it, and processor time of each",
        (
            Contender("chatstore", partial(_started, _chatstore), NOTE_UNSYNCED),
            Contender(
                "bare futures", partial(_started, _futures), "the limit: nothing is stored, nobody keeps a place"
            ),
        ),
        (
            Goal("1,000 subscribers: until the last has it, in s", statistic="p50", at_most=0.005),
            Goal("1,000 subscribers: processor s, each and change", metric="processor", at_most=0.000005),
        ),
        {"seconds": ("ms", 1e3), "processor": ("µs", 1e6)},
    ),
)
