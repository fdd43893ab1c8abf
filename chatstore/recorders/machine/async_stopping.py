"""Stopping a stream that says nothing, when somebody cancels its run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self, TypeVar

from chatstore.errors import ChatStoreError, RunCancelled
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter

E = TypeVar("E")
LOOKS_EVERY: Final = 1.0
"""Seconds without an event after which the run is looked at, again and again."""


class StopWatch:
    """Waits for events, and breaks the wait off when the run was cancelled: its writer learns of it by writing, and
    nothing is written while a tool runs or a model is silent."""

    def __init__(self, writer: AsyncScriptWriter) -> None:
        self._writer = writer
        self._waiting: asyncio.Timeout | None = None
        self._cancelled: RunCancelled | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.create_task(self._look())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()

    async def event(self, events: AsyncIterator[E]) -> E:
        """The next one, in the task that asks for it. Raises RunCancelled, as a write would."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await anext(events)
        except TimeoutError:
            if self._cancelled is None:
                raise
            raise self._cancelled from None
        finally:
            self._waiting = None

    async def _look(self) -> None:
        while self._cancelled is None and not self._writer.course.over:
            await asyncio.sleep(LOOKS_EVERY)
            if self._waiting is not None and time.monotonic() - self._writer.course.heard >= LOOKS_EVERY:
                await self._look_once()

    async def _look_once(self) -> None:
        try:
            self._writer.course.check(await self._writer.history.get_run(self._writer.scope.id))
        except RunCancelled as cancelled:
            self._cancelled = cancelled
            if self._waiting is not None:
                self._waiting.reschedule(asyncio.get_running_loop().time())
        except ChatStoreError:
            return  # the next write says what it is
