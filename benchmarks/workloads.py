"""How contenders append: one at a time, or from many tasks at once.

A peer is opened once and then gives, for a context's name, the function that appends a text to it. That function
returns, or can be awaited, when the peer says that the text is stored.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, contextmanager
from typing import TypeAlias

from benchmarks import material
from benchmarks.measuring import Round, Scale

Append: TypeAlias = Callable[[str], object]
AsyncAppend: TypeAlias = Callable[[str], Awaitable[object]]
Open: TypeAlias = Callable[[], AbstractContextManager[Callable[[str], Append]]]
AsyncOpen: TypeAlias = Callable[[], AbstractAsyncContextManager[Callable[[str], AsyncAppend]]]
Start: TypeAlias = Callable[[Scale], AbstractContextManager[Callable[[], Round]]]

TASKS = 100


def one_at_a_time(open_peer: Open, *, full: int, quick: int) -> Start:
    """Appends on one context, each when the one before has returned; the seconds of each."""

    @contextmanager
    def start(scale: Scale) -> Iterator[Callable[[], Round]]:
        texts = itertools.cycle(material.texts())
        with open_peer() as appender:
            append = appender("context-0")
            yield lambda: {"seconds": _timed(append, _take(texts, scale.of(full, quick)))}

    return start


def awaited(open_peer: AsyncOpen, *, full: int, quick: int) -> Start:
    """The same on an event loop, each append awaited."""

    @contextmanager
    def start(scale: Scale) -> Iterator[Callable[[], Round]]:
        texts = itertools.cycle(material.texts())
        with _opened(open_peer) as (runner, appender):
            append = appender("context-0")
            yield lambda: {"seconds": runner.run(timed_awaits(append, _take(texts, scale.of(full, quick))))}

    return start


def from_tasks(open_peer: AsyncOpen, *, contexts: int, full: int, quick: int) -> Start:
    """As many appends in each of 100 tasks, spread over the contexts; seconds of the whole, divided by all appends."""

    @contextmanager
    def start(scale: Scale) -> Iterator[Callable[[], Round]]:
        texts = itertools.cycle(material.texts())
        with _opened(open_peer) as (runner, appender):
            appends = [appender(f"context-{number % contexts}") for number in range(TASKS)]

            def one() -> Round:
                shares = [_take(texts, scale.of(full, quick)) for _ in appends]
                return {"seconds": [runner.run(_together(appends, shares))]}

            yield one

    return start


@contextmanager
def _opened(open_peer: AsyncOpen) -> Iterator[tuple[asyncio.Runner, Callable[[str], AsyncAppend]]]:
    """A peer on an event loop of its own, which stands still outside its rounds."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield runner, runner.run(stack.enter_async_context(open_peer()))
        finally:
            runner.run(stack.aclose())


def _take(texts: Iterable[str], count: int) -> list[str]:
    return list(itertools.islice(texts, count))


def _timed(append: Append, texts: Iterable[str]) -> list[float]:
    clock, seconds = time.perf_counter, []
    for text in texts:
        began = clock()
        append(text)
        seconds.append(clock() - began)
    return seconds


async def timed_awaits(append: AsyncAppend, texts: Iterable[str]) -> list[float]:
    """The seconds that each append took, one after the other."""
    clock, seconds = time.perf_counter, []
    for text in texts:
        began = clock()
        await append(text)
        seconds.append(clock() - began)
    return seconds


async def _together(appends: Sequence[AsyncAppend], shares: Sequence[Sequence[str]]) -> float:
    """Seconds per append, from the start of the first task to the end of the last."""

    async def one(append: AsyncAppend, texts: Sequence[str]) -> None:
        for text in texts:
            await append(text)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for append, texts in zip(appends, shares, strict=True):
            group.create_task(one(append, texts))
    return (time.perf_counter() - began) / sum(map(len, shares))
