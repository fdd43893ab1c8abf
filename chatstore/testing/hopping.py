"""What a ChatStore hands out, under the names of the async faces: every step of it hops to a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar, Token, copy_context
from functools import partial
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast

from chatstore import (
    Block,
    BlockReader,
    BlockWriter,
    Change,
    Cursor,
    RunScope,
    StoreSubscription,
    Subscription,
)

P = ParamSpec("P")
T = TypeVar("T")

END: Final = object()
# A subscription that waits keeps its thread, and the default pool of a small machine has six.
_THREADS = 64


class Threads:
    """The threads of one store. What runs there sees the context variables of the task that asked for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="threaded-store")

    async def run(self, call: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> T:
        """What the call returns, made on a thread."""
        return await self.run_in(copy_context(), partial(call, *values, **named))

    async def run_in(self, context: Context, call: Callable[[], T]) -> T:
        """The same in a context that the caller keeps."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, call)

    async def close(self) -> None:
        """Waits for the threads."""
        await asyncio.to_thread(self._pool.shutdown)


class ThreadedSubscription(AsyncIterator[Change]):
    """A subscription that is iterated on a thread and awaited; a step whose wait was cancelled is waited for again."""

    def __init__(self, threads: Threads, subscribe: Callable[[], Subscription | StoreSubscription]) -> None:
        self._threads = threads
        self._subscribe = subscribe
        self._subscription: Subscription | StoreSubscription | None = None
        self._step: asyncio.Future[Any] | None = None
        self._closed = False

    @property
    def cursor(self) -> Cursor | None:
        """As `Subscription.cursor`."""
        return None if self._subscription is None else self._subscription.cursor

    async def sse(self, *, heartbeat: float = 15.0) -> AsyncIterator[bytes]:
        """As `Subscription.sse`."""
        events = (await self._begin()).sse(heartbeat=heartbeat)
        while (event := await self._threads.run(next, events, END)) is not END:
            yield cast("bytes", event)

    async def __anext__(self) -> Change:
        if self._closed and self._subscription is None:
            raise StopAsyncIteration
        if self._step is None:
            subscription = await self._begin()
            self._step = asyncio.ensure_future(self._threads.run(next, subscription, END))
        change = await asyncio.shield(step := self._step)
        if self._step is step:
            self._step = None
        if change is END:
            raise StopAsyncIteration
        return cast("Change", change)

    async def close(self) -> None:
        """As `Subscription.close`."""
        self._closed = True
        if self._subscription is not None:
            await asyncio.to_thread(self._subscription.close)
        if self._step is not None:
            await asyncio.gather(self._step, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _begin(self) -> Subscription | StoreSubscription:
        if self._subscription is None:
            self._subscription = await self._threads.run(self._subscribe)
        return self._subscription


class ThreadedBlockWriter:
    """A BlockWriter whose methods are awaited; `async with` or `await` opens its block."""

    def __init__(self, threads: Threads, open: Callable[[], BlockWriter]) -> None:
        self._threads = threads
        self._open = open
        self._writer: BlockWriter | None = None

    @property
    def block(self) -> Block:
        """As `BlockWriter.block`."""
        assert self._writer is not None, "open the block first"
        return self._writer.block

    def __getattr__(self, name: str) -> Any:
        return partial(self._threads.run, getattr(self._writer, name))

    def __await__(self) -> Generator[object, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        if self._writer is None:
            self._writer = await self._threads.run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        await self._threads.run(self._writer.__exit__, kind, error, trace)


class ThreadedRunScope:
    """A RunScope that is entered and left on a thread; its run is the current one of the task in between."""

    def __init__(self, threads: Threads, scope: RunScope) -> None:
        self._threads = threads
        self._scope = scope
        self._context = copy_context()
        self._set: list[tuple[ContextVar[Any], Token[Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)

    async def __aenter__(self) -> Self:
        await self._threads.run_in(self._context, self._scope.__enter__)
        # What was set on the thread is set here too, as if there had been no other thread.
        changed = [(variable, value) for variable, value in self._context.items() if variable.get(END) is not value]
        self._set = [(variable, variable.set(value)) for variable, value in changed]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for variable, token in self._set:
            variable.reset(token)
        await self._threads.run_in(self._context, partial(self._scope.__exit__, kind, error, trace))


class ThreadedBlockReader:
    """A BlockReader that is iterated on a thread and awaited."""

    def __init__(self, threads: Threads, reader: BlockReader) -> None:
        self._threads = threads
        self._reader = reader
        self.block: Block = reader.block

    async def __aiter__(self) -> AsyncIterator[str]:
        pieces = await self._threads.run(iter, self._reader)
        while (piece := await self._threads.run(next, pieces, END)) is not END:
            yield cast("str", piece)

    async def result(self) -> Block:
        """As `BlockReader.result`."""
        return await self._threads.run(self._reader.result)


def pulled(loop: asyncio.AbstractEventLoop, pieces: AsyncIterator[str]) -> Iterator[str]:
    """The pieces of an async iterator of that loop, for a thread."""

    async def step() -> Any:
        return await anext(pieces, END)

    while (piece := asyncio.run_coroutine_threadsafe(step(), loop).result()) is not END:
        yield piece
