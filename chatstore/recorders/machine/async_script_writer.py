"""Writing what a script says, in an event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from chatstore.async_history import AsyncHistory
from chatstore.block_writer import AsyncBlockWriter
from chatstore.errors import ChatStoreError, RunCancelled
from chatstore.recorders.machine.course import Course
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.pulling import Pull
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Step
from chatstore.runs import AsyncRunScope, Inside


class AsyncScriptWriter:
    """`ScriptWriter` for an event loop."""

    def __init__(self, script: Script[Any], history: AsyncHistory, options: RecordOptions) -> None:
        self.course: Course = Course(script, options)
        self.scope: AsyncRunScope = history.run(parent_run_id=options.get("parent_run_id"))
        self.inside: Inside = Inside(self.scope)
        self.pull: Pull = Pull(self, self.inside)
        self.history: AsyncHistory = history
        self._writers: dict[Key, AsyncBlockWriter] = {}
        self._begun = False
        self._entered = False
        self._ended = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        script.meet(self)

    async def begin(self) -> None:
        """Starts the run, if it has not been started."""
        async with self._turn:
            if not self._begun:
                self._begun = True
                await self._begin()

    async def _begin(self) -> None:
        try:
            with self.inside.not_yet():
                await self.scope.__aenter__()
            self._entered = True
            for step in self.course.first():
                await self._do(step)
        except Exception as error:
            await self._stop(error)
        if self.course.idle_limit is not None and not self.course.over:
            self._watcher = asyncio.create_task(self._watch())

    async def take(self, event: Any) -> None:
        """Records an event. Of several that come at once, one after the other."""
        async with self._turn:
            await self._take(event)

    async def _take(self, event: Any) -> None:
        course = self.course
        if course.over:
            return
        course.hear()
        try:
            for step in course.script.read(event):
                await self._do(step)
        except RunCancelled:
            raise
        except Exception as error:
            await self._stop(error)

    async def check(self) -> None:
        """As `ScriptWriter.check`."""
        if self.course.over:
            return
        try:
            self.course.check(await self.history.get_run(self.scope.id))
        except RunCancelled:
            raise
        except Exception as error:
            await self._stop(error)

    async def end(self, error: BaseException | None) -> None:
        """Ends the run, as what became of the stream says."""
        async with self._turn:
            await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        if self.course.over:
            return
        self.course.over = True
        self._ended.set()
        ending = self.course.outcome(error)
        try:
            if ending is None:
                await self._finish_all()
            if (spent := self.course.script.spent()) is not None:
                self.scope.set_usage(spent)
        except RunCancelled as cancelled:
            await self._leave(cancelled)
            raise
        except Exception as problem:
            await self._stop(problem)
            return
        await self._leave(ending)

    async def _finish_all(self) -> None:
        for step in self.course.script.finish():
            await self._do(step)
        for key in [*self._writers]:
            await self._finish(Finish(key))

    async def _stop(self, error: Exception) -> None:
        self.course.failed(error)
        with suppress(ChatStoreError):
            await self._leave(error)
        if self.course.strict:
            raise error

    async def _leave(self, error: BaseException | None) -> None:
        if not self._entered:
            return
        try:
            await self.scope.__aexit__(None if error is None else type(error), error, None)
        except ChatStoreError as problem:
            self.course.failed(problem)
            if self.course.strict:
                raise

    async def _watch(self) -> None:
        while self.course.left > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self.course.left)
                return
        await self.end(self.course.idle())

    async def _do(self, step: Step) -> None:
        if isinstance(step, Grow):
            await self._writers[step.key].write(self.course.grew(step))
        elif isinstance(step, Begin):
            writer = await self.history.open_block(**self.course.opening(step, self.scope.id))
            self._writers[step.key] = writer
            self.course.began(step, writer.block)
        elif isinstance(step, Finish):
            await self._finish(step)
        elif isinstance(step, Put):
            self.course.began(step, await self.history.append(self.course.draft(step, self.scope.id)))
        elif isinstance(step, Mark):
            await self._mark(step)
        else:
            self.scope.set_usage(step.usage)

    async def _mark(self, step: Mark) -> None:
        block = self.course.blocks.get(step.key)
        if block is not None and step.tags:
            await self.history.tag(block, *step.tags)
        if block is not None and step.usage is not None:
            await self.history.set_usage(block, dict(step.usage))

    async def _finish(self, step: Finish) -> None:
        writer = self._writers.pop(step.key)
        rest, data = self.course.rest(step)
        if rest:
            await writer.write(rest)
        if step.error is not None:
            await writer.fail(step.error)
        else:
            await writer.close(data=data, usage=step.usage)
