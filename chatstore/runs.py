"""Runs: one request being answered, from its start to an end that everybody sees."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, Token, copy_context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from chatstore import growing_requests, requests
from chatstore.cursor import Cursor
from chatstore.errors import ChatStoreError, RunCancelled, RunOver
from chatstore.ids import id_text, new_id, now
from chatstore.model import JsonValue, Run
from chatstore.operations import running
from chatstore.operations.running import RunEnding

if TYPE_CHECKING:
    from chatstore.async_history import AsyncHistory
    from chatstore.history import History

T = TypeVar("T")
_STOPPED = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RunCancelled)
# Path of the store, context and run, of every run that this thread or task is in, from the outermost.
_current: ContextVar[tuple[tuple[str, str, str], ...]] = ContextVar("chatstore_runs", default=())


def current_run(store_path: str, context_id: str) -> str | None:
    """The id of the run that blocks of this context are written in now, in this thread or task."""
    inside = reversed(_current.get())
    return next((run for path, context, run in inside if (path, context) == (store_path, context_id)), None)


class _Scope:
    """What both scopes share: the run's id, its parent, its usage, and the place as the current run."""

    def __init__(self, store_path: str, context_id: str, parent_run_id: str | None) -> None:
        self.id = id_text(new_id(now()))
        self._place = (store_path, context_id, self.id)
        outer = _current.get()
        self.parent_run_id = outer[-1][2] if parent_run_id is None and outer else parent_run_id
        self._usage: str | None = None
        self._token: Token[tuple[tuple[str, str, str], ...]] | None = None

    def set_usage(self, usage: Mapping[str, JsonValue]) -> None:
        """What the run cost, such as `{"input_tokens": 12}`; stored with its end."""
        self._usage = requests.usage(usage)

    def _enter(self) -> None:
        self._token = _current.set((*_current.get(), self._place))

    def _leave(self) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def _ending(self, error: BaseException | None) -> RunEnding:
        if error is None:
            return RunEnding("completed", usage=self._usage)
        if isinstance(error, _STOPPED):
            return RunEnding("cancelled", usage=self._usage)
        trace = "".join(traceback.format_exception(error))
        return RunEnding("failed", growing_requests.error_json(error), growing_requests.printable(trace), self._usage)


class RunScope(_Scope):
    """A run as a context manager: blocks that this thread writes into its history inside belong to it.

    Leaving ends it `completed`; an exception ends it `failed` with the error kept in the run, and its open blocks
    with it. Started inside another run, it becomes part of that one.
    """

    def __init__(self, history: History, parent_run_id: str | None) -> None:
        super().__init__(str(history._store.path), history.context_id, parent_run_id)
        self._history = history

    def __enter__(self) -> Self:
        lease = self._history._store._open().lease
        self._history._write(running.start_run, self.id, self.parent_run_id, lease.take)
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        try:
            self._history._write(running.end_run, self.id, self._ending(error))
        except RunOver:
            if error is None:
                raise


class AsyncRunScope(_Scope):
    """`RunScope` for an event loop: `async with history.run() as run`."""

    def __init__(self, history: AsyncHistory, parent_run_id: str | None) -> None:
        super().__init__(str(history._store.path), history.context_id, parent_run_id)
        self._history = history

    async def __aenter__(self) -> Self:
        lease = (await self._history._store._open()).lease
        await self._history._write(running.start_run, self.id, self.parent_run_id, lease.take)
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        try:
            await asyncio.shield(self._history._write(running.end_run, self.id, self._ending(error)))
        except RunOver:
            if error is None:
                raise


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
        return self.history.get_run(self.run.id) if self._done.wait(timeout) else None

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
        except ChatStoreError as error:
            self._error = self._error or error
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
        assert self._task is not None
        done, _ = await asyncio.wait({self._task}, timeout=timeout)
        return await self.history.get_run(self.run.id) if done else None

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
        await self._scope.__aexit__(None, None, None)
        return value
