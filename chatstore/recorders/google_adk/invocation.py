"""One invocation of a runner that a plugin records, and how it is known that it is over.

A runner tells its plugins of the proper end, of an exception, and of a stream that is closed early. Of a task that is
cancelled it tells nothing; the agents tell that they are left, and the task itself when it is done.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any
from weakref import finalize, ref

from chatstore.async_history import AsyncHistory
from chatstore.errors import RunCancelled
from chatstore.recorders.google_adk.script import AdkScript, Ended
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.recorders.machine.options import RecordOptions


class Invocation:
    """What is written of an invocation."""

    def __init__(
        self, history: AsyncHistory, options: RecordOptions, context: Any, going: dict[str, Invocation]
    ) -> None:
        self.id: str = context.invocation_id
        self.history = history
        self.writer: AsyncScriptWriter = AsyncScriptWriter(AdkScript(), history, options)
        self.ended: bool = False
        self._going = going
        self._task: asyncio.Task[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._before = id(sys.exc_info()[1])
        self._closing: asyncio.Task[None] | None = None
        finalize(context, _dropped, ref(self), self._loop).atexit = False

    def watch(self) -> None:
        """The task that reads the stream now. It may be another one for each event."""
        task = asyncio.current_task()
        if task is not None and task is not self._task:
            self._task = task
            task.add_done_callback(self._done)

    def enter(self) -> None:
        """Makes the run current in this task, and in those that it starts, until it is over."""
        self.writer.inside.__enter__()

    def stopped_by(self, error: BaseException | None) -> BaseException | None:
        """What makes the stream end, if somebody stops reading it: an exception that was not there as it began."""
        stops = isinstance(error, (GeneratorExit, asyncio.CancelledError)) and id(error) != self._before
        return error if stops else None

    def cancelled_by(self, error: BaseException | None) -> BaseException | None:
        """The same, where an agent is left: others may go on, unless it is the reader that is cancelled."""
        return self.stopped_by(error) if self._cancelling else None

    @property
    def _cancelling(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0

    async def take(self, event: Any) -> None:
        """Records an event; a task that is cancelled meanwhile is never heard of again."""
        try:
            await self.writer.take(event)
        except asyncio.CancelledError as error:
            await self.over(error)
            raise

    async def begin(self) -> None:
        """Starts the run, in the same way."""
        try:
            await self.writer.begin()
        except asyncio.CancelledError as error:
            await self.over(error)
            raise

    async def failed(self, error: BaseException) -> None:
        """Ends with what went wrong; the framework puts what a plugin raises into an error of its own."""
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, RunCancelled):
            cause = cause.__cause__
        await self.over(cause or error)

    async def over(self, error: BaseException | None) -> None:
        """Ends the run."""
        if self.ended:
            return
        self.ended = True
        self._going.pop(self.id, None)
        # GeneratorExit alone is forgiven behind the last answer.
        ending = asyncio.CancelledError() if self._cancelling and isinstance(error, GeneratorExit) else error
        if ending is None:
            await self.writer.take(Ended())
        await self.writer.end(ending)

    def stop(self) -> None:
        """Ends the run as cancelled, behind the back of everybody."""
        if not self.ended:
            self._closing = asyncio.ensure_future(self._stop())

    async def _stop(self) -> None:
        with suppress(RunCancelled):
            await self.over(asyncio.CancelledError())

    def _done(self, task: asyncio.Task[Any]) -> None:
        # One that is done as it should may have read one event, and another one reads the next.
        if not self.ended and task is self._task and (task.cancelled() or task.exception() is not None):
            self.stop()


def _dropped(going: ref[Invocation], loop: asyncio.AbstractEventLoop) -> None:
    """Nobody has the invocation any more; told in whatever thread finds out."""
    invocation = going()
    if invocation is not None and not invocation.ended and not loop.is_closed():
        loop.call_soon_threadsafe(invocation.stop)
