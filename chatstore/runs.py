"""Runs: one request being answered, from its start to an end that everybody sees."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar
from weakref import finalize

from chatstore import checks, growing_requests, requests
from chatstore.core import Core
from chatstore.cursor import Cursor
from chatstore.errors import ChatStoreError, RunCancelled, RunOver, StorageError, UsageError
from chatstore.ids import id_text, new_id, now
from chatstore.model import JsonValue, Run
from chatstore.operations import running
from chatstore.operations.running import RunEnding
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.writing.drafts import rules_of
from chatstore.writing.growing import ENDED, Flusher, Growing
from chatstore.writing.waiting import wait, wait_async

if TYPE_CHECKING:
    from chatstore.async_history import AsyncHistory
    from chatstore.history import History

T = TypeVar("T")
_LOOK = 0.02
"""Seconds between two looks for the end of a run that somebody waits for."""
_log = logging.getLogger(__name__)
_STOPPED = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RunCancelled)
_current: ContextVar[tuple[_Scope, ...]] = ContextVar("chatstore_runs", default=())


def current_run(store_path: str, context_id: str) -> str | None:
    """The id of the run that blocks of this context are written in now, in this thread or task."""
    for scope in reversed(_current.get()):
        if not scope.over and scope.place == (store_path, context_id):
            return scope.id
    return None


class _Scope:
    """What both scopes share: the run's id, its parent, its usage, and its place among the current runs."""

    def __init__(self, store_path: str, context: ContextRef, parent_run_id: str | None) -> None:
        if parent_run_id is not None:
            checks.name(parent_run_id, "parent_run_id")
        self.id = id_text(new_id(now()))
        self.place = (store_path, context.context_id)
        self.over = False
        outer = [scope.id for scope in _current.get() if scope.place[0] == store_path and not scope.over]
        self.parent_run_id = outer[-1] if parent_run_id is None and outer else parent_run_id
        self._usage: str | None = None
        self._context = context
        self._flusher: Flusher | None = None

    def _check_new(self) -> None:
        if self._flusher is not None:
            raise UsageError("a run is entered once; ask the history for another: history.run()")

    def set_usage(self, usage: Mapping[str, JsonValue]) -> None:
        """What the run cost, such as `{"input_tokens": 12}`; stored with its end."""
        self._usage = requests.usage(usage, rules_of(self._context))

    def _start(self, core: Core) -> Callable[[Transaction], Run]:
        """The write that starts the run."""
        return partial(
            running.start_run,
            context=self._context,
            run_id=self.id,
            parent_run_id=self.parent_run_id,
            lease=core.lease.take,
        )

    def _started(self, flusher: Flusher) -> None:
        """The run is stored; from here on it is ended somehow."""
        self._flusher = flusher
        flusher.runs[self.id] = self
        # Also for a scope that is dropped without being left.
        unfinished = partial(flusher.unfinished.append, self._write(RunEnding("interrupted")))
        self._dropped = finalize(self, unfinished)
        self._dropped.atexit = False

    def _enter(self) -> None:
        """Makes it the current run, of this thread or task."""
        _current.set((*_current.get(), self))

    def _leave(self) -> list[Growing]:
        """Is no current run any more, in whatever context it is left; the blocks to stop before it ends."""
        self.over = True
        _current.set(tuple(scope for scope in _current.get() if scope is not self))
        return [] if self._flusher is None else self._flusher.of_run(self.id)

    def _write(self, ending: RunEnding) -> Callable[[Transaction], Run]:
        ending = replace(ending, limits=rules_of(self._context).limits)
        return partial(running.end_run, context=self._context, run_id=self.id, ending=ending)

    def _end_with(self, ending: RunEnding, blocks: Iterable[Growing]) -> Callable[[Transaction], Run]:
        """The write that ends the run, with the text that its blocks, stopped by now, still hold."""
        rests: dict[int, str] = {}
        for block in blocks:
            with suppress(*ENDED):
                rests[block.block.index] = block.rest()
        return self._write(replace(ending, rests=rests))

    def _ended(self, error: ChatStoreError | None, write: Callable[[Transaction], Run]) -> None:
        """The end was stored or refused; one that the disk refused is left to the flusher."""
        if self._flusher is not None:
            self._flusher.runs.pop(self.id, None)
            if isinstance(error, StorageError):
                self._flusher.finish_later(write)
        self._dropped.detach()

    def _ending(self, error: BaseException | None) -> RunEnding:
        if error is None:
            return RunEnding("completed", usage=self._usage)
        if isinstance(error, _STOPPED):
            return RunEnding("cancelled", usage=self._usage)
        trace = "".join(traceback.format_exception(error))
        found = growing_requests.error_json(error, self._context)
        return RunEnding("failed", found, growing_requests.trace_text(trace, self._context), self._usage)


class RunScope(_Scope):
    """A run as a context manager: blocks that this thread writes into its history inside belong to it.

    Leaving ends it `completed`; an exception ends it `failed` with the error kept in the run, and its open blocks
    with it. Started inside another run of the same store, it becomes part of that one.
    """

    def __init__(self, history: History, parent_run_id: str | None) -> None:
        super().__init__(history._store.location, history._context, parent_run_id)
        self._history = history

    def __enter__(self) -> Self:
        core = self._history._store._open()
        self._check_new()
        try:
            self._history._store._write(self._start(core), self._history.context_id, synced=False)
        except BaseException:
            core.flusher.finish_later(self._write(RunEnding("cancelled")))  # it may have been stored
            raise
        self._begin(core)
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(self._ending(error))
        except ChatStoreError:
            if error is None:
                raise

    def interrupt(self) -> None:
        """Ends the run as `interrupted` if nobody has ended it; the store that closes does so."""
        if not self.over:
            with suppress(ChatStoreError):
                self._end(RunEnding("interrupted"))

    def _begin(self, core: Core) -> None:
        self._started(core.flusher)
        self._history._store._opened(self)

    def _end(self, ending: RunEnding) -> None:
        blocks = self._leave()
        for block in blocks:
            wait(block.stop)
        write = self._end_with(ending, blocks)
        try:
            self._history._store._write(write, self._history.context_id)
        except ChatStoreError as error:
            self._ended(error, write)
            raise
        self._ended(None, write)


class AsyncRunScope(_Scope):
    """`RunScope` for an event loop: `async with history.run() as run`."""

    def __init__(self, history: AsyncHistory, parent_run_id: str | None) -> None:
        super().__init__(history._store.location, history._context, parent_run_id)
        self._history = history

    async def __aenter__(self) -> Self:
        core = await self._history._store._open()
        self._check_new()
        try:
            await self._history._store._write(self._start(core), self._history.context_id, synced=False, size=1)
        except BaseException:
            core.flusher.finish_later(self._write(RunEnding("cancelled")))  # it may have been stored
            raise
        self._begin(core)
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.shield(self._end(self._ending(error)))
        except ChatStoreError:
            if error is None:
                raise

    async def interrupt(self) -> None:
        """As `RunScope.interrupt`."""
        if not self.over:
            with suppress(ChatStoreError):
                await self._end(RunEnding("interrupted"))

    def _begin(self, core: Core) -> None:
        self._started(core.flusher)
        self._history._store._opened(self)

    async def _end(self, ending: RunEnding) -> None:
        blocks = self._leave()
        for block in blocks:
            await wait_async(block.stop)
        write = self._end_with(ending, blocks)
        try:
            await self._history._store._write(write, self._history.context_id)
        except ChatStoreError as error:
            self._ended(error, write)
            raise
        self._ended(None, write)


class RunHandle(Generic[T]):
    """A run that an agent works on in the background.

    `run` is the run as it started; `cursor` is where to subscribe from: the first change behind it is this request's
    user message.
    """

    def __init__(self, history: History, scope: RunScope, run: Run, cursor: Cursor) -> None:
        self.history = history
        self.run = run
        self.cursor = cursor
        self._scope = scope
        self._done = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    def wait(self, timeout: float | None = None) -> Run | None:
        """The run once it has ended, when none of its blocks is open any more; None if that takes longer."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (run := self.history.get_run(self.run.id)).state == "running":
            left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
            if left <= 0:
                return None
            time.sleep(left)
        return run

    def result(self, timeout: float | None = None) -> T:
        """What the agent returned; raises what it raised, or TimeoutError."""
        if not self._done.wait(timeout):
            raise TimeoutError(f"the run has not ended within {timeout} seconds")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def cancel(self) -> None:
        """Stops the run: the agent's next write raises RunCancelled."""
        self.history.cancel_run(self.run.id)

    def _start(self, agent: Callable[[History, str], T], prompt: str) -> None:
        work = partial(copy_context().run, self._work, agent, prompt)
        threading.Thread(target=work, name=f"chatstore-run-{self._scope.id}", daemon=True).start()

    def _work(self, agent: Callable[[History, str], T], prompt: str) -> None:
        self._scope._enter()
        try:
            self._value = agent(self.history, prompt)
        except BaseException as error:
            self._error = error
        try:
            self._scope.__exit__(None, self._error, None)
        except RunOver as error:
            self._error = error
        except ChatStoreError as error:
            _log.warning("the end of run %s is stored later: %s", self.run.id, error)
        finally:
            self._done.set()


class AsyncRunHandle(Generic[T]):
    """`RunHandle` for an event loop."""

    def __init__(self, history: AsyncHistory, scope: AsyncRunScope, run: Run, cursor: Cursor) -> None:
        self.history = history
        self.run = run
        self.cursor = cursor
        self._scope = scope
        self._task: asyncio.Task[T] | None = None

    async def wait(self, timeout: float | None = None) -> Run | None:
        """As `RunHandle.wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (run := await self.history.get_run(self.run.id)).state == "running":
            left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
            if left <= 0:
                return None
            await asyncio.sleep(left)
        return run

    async def result(self, timeout: float | None = None) -> T:
        """As `RunHandle.result`."""
        assert self._task is not None
        return await asyncio.wait_for(asyncio.shield(self._task), timeout)

    async def cancel(self) -> None:
        """As `RunHandle.cancel`."""
        await self.history.cancel_run(self.run.id)

    def _start(self, agent: Callable[[AsyncHistory, str], Awaitable[T]], prompt: str) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work(agent, prompt))
        # The error is in the run, and in result() for those who ask: not asking is no mistake.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _work(self, agent: Callable[[AsyncHistory, str], Awaitable[T]], prompt: str) -> T:
        self._scope._enter()
        try:
            value = await agent(self.history, prompt)
        except BaseException as error:
            await self._scope.__aexit__(None, error, None)
            raise
        try:
            await self._scope.__aexit__(None, None, None)
        except StorageError as error:
            _log.warning("the end of run %s is stored later: %s", self.run.id, error)
        return value
