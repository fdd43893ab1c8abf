"""A ChatStore under the names of AsyncChatStore: every call hops to a thread, so that one suite tests both faces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from chatstore import Block, ChatStore, History, Run, RunHandle
from chatstore.testing.hopping import (
    ThreadedBlockReader,
    ThreadedBlockWriter,
    ThreadedRunScope,
    ThreadedSubscription,
    Threads,
    pulled,
)


class ThreadedChatStore:
    """A ChatStore whose methods are awaited. `async with` or the first call opens it."""

    def __init__(self, location: str, **options: Any) -> None:
        self._open = partial(ChatStore, location, **options)
        self._store: ChatStore | None = None
        self._threads = Threads()

    @property
    def _opened(self) -> ChatStore:
        assert self._store is not None, "open the store first"
        return self._store

    def history(self, context: str | Mapping[str, str]) -> ThreadedHistory:
        """As `ChatStore.history`, of the store that was opened."""
        return ThreadedHistory(self._threads, self._opened.history(context))

    def subscribe(self, **wanted: Any) -> ThreadedSubscription:
        """As `ChatStore.subscribe`; it begins with `async with` or with the first step."""
        return ThreadedSubscription(self._threads, partial(self._opened.subscribe, **wanted))

    async def submit(
        self, agent: Callable[[ThreadedHistory, str], Awaitable[Any]], prompt: str, **options: Any
    ) -> ThreadedRunHandle:
        """As `ChatStore.submit`; the agent is a coroutine function, which the run's thread waits for."""
        loop = asyncio.get_running_loop()

        async def work(history: History, prompt: str) -> Any:
            return await agent(ThreadedHistory(self._threads, history), prompt)

        def work_on_the_loop(history: History, prompt: str) -> Any:
            return asyncio.run_coroutine_threadsafe(work(history, prompt), loop).result()

        submit = partial(self._opened.submit, work_on_the_loop, prompt, **options)
        return ThreadedRunHandle(self._threads, await self._threads.run(submit))

    def __getattr__(self, name: str) -> Any:
        return partial(self._threads.run, getattr(self._store, name))

    async def close(self) -> None:
        """As `ChatStore.close`."""
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    async def __aenter__(self) -> Self:
        if self._store is None:
            try:
                self._store = await self._threads.run(self._open)
            except BaseException:
                await self._threads.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        await self._threads.close()


class ThreadedHistory:
    """A History whose methods are awaited."""

    def __init__(self, threads: Threads, history: History) -> None:
        self._threads = threads
        self._history = history

    @property
    def context_id(self) -> str:
        """As `History.context_id`."""
        return self._history.context_id

    def subscribe(self, *values: Any, **named: Any) -> ThreadedSubscription:
        """As `History.subscribe`; it begins with `async with` or with the first step."""
        return ThreadedSubscription(self._threads, partial(self._history.subscribe, *values, **named))

    def open_message(self, **options: Any) -> ThreadedBlockWriter:
        """As `History.open_message`."""
        return ThreadedBlockWriter(self._threads, partial(self._history.open_message, **options))

    def open_block(self, type: str, **options: Any) -> ThreadedBlockWriter:
        """As `History.open_block`."""
        return ThreadedBlockWriter(self._threads, partial(self._history.open_block, type, **options))

    async def append_assistant_message(self, text: str | Iterable[str] | AsyncIterable[str], **options: Any) -> Block:
        """As `History.append_assistant_message`; an async iterator is waited for by the thread that writes."""
        if isinstance(text, AsyncIterable):
            text = pulled(asyncio.get_running_loop(), aiter(text))
        return await self._threads.run(self._history.append_assistant_message, text, **options)

    def run(self, **options: Any) -> ThreadedRunScope:
        """As `History.run`."""
        return ThreadedRunScope(self._threads, self._history.run(**options))

    async def read_block(self, block: Block | str) -> ThreadedBlockReader:
        """As `History.read_block`."""
        return ThreadedBlockReader(self._threads, await self._threads.run(self._history.read_block, block))

    def __getattr__(self, name: str) -> Any:
        return partial(self._threads.run, getattr(self._history, name))


class ThreadedRunHandle:
    """A RunHandle whose methods are awaited."""

    def __init__(self, threads: Threads, handle: RunHandle[Any]) -> None:
        self._threads = threads
        self._handle = handle
        self.history: ThreadedHistory = ThreadedHistory(threads, handle.history)
        self.run: Run = handle.run
        self.cursor: str = handle.cursor

    async def wait(self, timeout: float | None = None) -> Run | None:
        """As `RunHandle.wait`."""
        return await self._threads.run(self._handle.wait, timeout)

    async def result(self, timeout: float | None = None) -> Any:
        """As `RunHandle.result`."""
        return await self._threads.run(self._handle.result, timeout)

    async def cancel(self) -> None:
        """As `RunHandle.cancel`."""
        await self._threads.run(self._handle.cancel)
