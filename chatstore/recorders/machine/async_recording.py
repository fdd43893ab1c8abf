"""Recording the events of an asynchronous stream."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from chatstore.async_history import AsyncHistory
from chatstore.errors import ChatStoreError
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.recorders.machine.async_stopping import StopWatch
from chatstore.recorders.machine.course import stops
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.script import Script

E = TypeVar("E")


class AsyncRecording(Generic[E]):
    """`Recording` for an event loop."""

    def __init__(
        self, script: Script[E], source: AsyncIterable[E], history: AsyncHistory, options: RecordOptions
    ) -> None:
        self._writing = AsyncScriptWriter(script, history, options)
        self._events = _record(self._writing, source)

    @property
    def run_id(self) -> str:
        """As `Recording.run_id`."""
        return self._writing.scope.id

    @property
    def take(self) -> Callable[[Any], Awaitable[None]]:
        """As `Recording.take`, in the event loop."""
        return self._writing.take

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        return await anext(self._events)

    async def aclose(self) -> None:
        """As `Recording.close`."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _record(writing: AsyncScriptWriter, source: AsyncIterable[E]) -> AsyncGenerator[E, None]:
    events = aiter(source)
    try:
        await _refuse(writing)
    except BaseException:
        await _close(source, events)
        raise
    try:
        await writing.begin()
        with StopWatch(writing) as watch:
            while True:
                with writing.pull:
                    try:
                        event = await watch.event(events)
                    except StopAsyncIteration:
                        break
                await writing.take(event)
                yield event
    except BaseException as error:
        await _end(writing, error, source, events)
        raise
    await writing.end(None)


async def _end(
    writing: AsyncScriptWriter, error: BaseException, source: AsyncIterable[object], events: AsyncIterator[object]
) -> None:
    try:
        await writing.end(error)
    finally:
        if stops(error):
            await _close(source, events)  # behind the end of the run: it may take as long as a tool does


async def _refuse(writing: AsyncScriptWriter) -> None:
    context = None
    if writing.course.script.written_by is not None:
        with suppress(ChatStoreError):  # that is for the recording to tell
            context = await writing.history.info()
    writing.course.refuse(context)


async def _close(*streams: Any) -> None:
    for stream in streams:
        # Generators have `aclose`; streams of OpenAI's client have a `close`, which is awaited.
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        if close is not None:
            with suppress(RuntimeError):  # from a generator that yields once more as it is closed
                closing = close()
                if inspect.isawaitable(closing):
                    await closing
