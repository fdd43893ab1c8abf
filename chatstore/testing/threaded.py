"""A ChatStore under the names of AsyncChatStore: every call hops to a thread, so that one suite tests both faces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast

from chatstore import Change, ChatStore, Cursor, History, Subscription

P = ParamSpec("P")
T = TypeVar("T")

_END: Final = object()
# A subscription that waits keeps its thread, and the default pool of a small machine has six.
_THREADS = 64


class _Threads:
    """The threads of one store."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="threaded-store")

    async def run(self, call: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *values, **named))

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)


class ThreadedChatStore:
    """A ChatStore whose methods are awaited. `async with` or the first call opens it."""

    def __init__(self, location: str, **options: Any) -> None:
        self._open = partial(ChatStore, location, **options)
        self._store: ChatStore | None = None
        self._threads = _Threads()

    def history(self, context: str | Mapping[str, str]) -> ThreadedHistory:
        """As `ChatStore.history`, of the store that was opened."""
        assert self._store is not None, "open the store first"
        return ThreadedHistory(self._threads, self._store.history(context))

    def __getattr__(self, name: str) -> Any:
        return partial(self._threads.run, getattr(self._store, name))

    async def close(self) -> None:
        """As `ChatStore.close`."""
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    async def __aenter__(self) -> Self:
        if self._store is None:
            self._store = await self._threads.run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        await self._threads.close()


class ThreadedHistory:
    """A History whose methods are awaited."""

    def __init__(self, threads: _Threads, history: History) -> None:
        self._threads = threads
        self._history = history

    @property
    def context_id(self) -> str:
        """As `History.context_id`."""
        return self._history.context_id

    def subscribe(self, *values: Any, **named: Any) -> ThreadedSubscription:
        """As `History.subscribe`; it begins with `async with` or with the first step."""
        return ThreadedSubscription(self._threads, partial(self._history.subscribe, *values, **named))

    def __getattr__(self, name: str) -> Any:
        return partial(self._threads.run, getattr(self._history, name))


class ThreadedSubscription(AsyncIterator[Change]):
    """A Subscription that is iterated on a thread and awaited; a step whose wait was cancelled is waited for again."""

    def __init__(self, threads: _Threads, subscribe: Callable[[], Subscription]) -> None:
        self._threads = threads
        self._subscribe = subscribe
        self._subscription: Subscription | None = None
        self._step: asyncio.Future[Any] | None = None
        self._closed = False

    @property
    def cursor(self) -> Cursor | None:
        """As `Subscription.cursor`."""
        return None if self._subscription is None else self._subscription.cursor

    async def __anext__(self) -> Change:
        if self._closed and self._subscription is None:
            raise StopAsyncIteration
        if self._step is None:
            subscription = await self._begin()
            self._step = asyncio.ensure_future(self._threads.run(next, subscription, _END))
        change = await asyncio.shield(step := self._step)
        if self._step is step:
            self._step = None
        if change is _END:
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

    async def _begin(self) -> Subscription:
        if self._subscription is None:
            self._subscription = await self._threads.run(self._subscribe)
        return self._subscription
