"""Handles of runs that agents work on in the background."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from chatstore import growing_requests
from chatstore.cursor import Cursor
from chatstore.errors import ChatStoreError, StorageError
from chatstore.model import JsonValue, Run
from chatstore.runs import AsyncRunScope, RunScope

if TYPE_CHECKING:
    from chatstore.async_history import AsyncHistory
    from chatstore.history import History

T = TypeVar("T")
_log = logging.getLogger(__name__)


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

    def __repr__(self) -> str:
        return _shown(self, self.run, self._done.is_set())

    def wait(self, timeout: float | None = None) -> Run | None:
        """The run once it has ended, when none of its blocks is open any more; None if that takes longer."""
        with self.history.subscribe(after="now", run=self.run.id, types=(), timeout=timeout) as changes:
            while (run := self.history.get_run(self.run.id)).state == "running":
                if next(changes, None) is None:
                    return None
        return run

    def result(self, timeout: float | None = None) -> T:
        """What the agent returned. Raises what it raised, TimeoutError, or why its run could not end as completed:
        RunOver if it was ended meanwhile, ContextErased, StoreClosed."""
        if not self._done.wait(timeout):
            raise TimeoutError(f"the run has not ended within {timeout} seconds")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def cancel(self) -> None:
        """Stops the run: the agent's next write raises RunCancelled."""
        self.history.cancel_run(self.run.id)

    def set_usage(self, usage: Mapping[str, JsonValue]) -> None:
        """What the run cost; stored with its end."""
        self._scope.set_usage(usage)

    def interrupt(self) -> None:
        """Ends the run as `interrupted`: the agent's next write raises RunInterrupted."""
        self._scope.interrupt()

    def _start(self, agent: Callable[[History, str], T], prompt: str) -> None:
        work = partial(copy_context().run, self._work, agent, prompt)
        threading.Thread(target=work, name=f"chatstore-run-{self._scope.id}", daemon=True).start()

    def _work(self, agent: Callable[[History, str], T], prompt: str) -> None:
        self._scope._enter()
        try:
            value = agent(self.history, prompt)
            growing_requests.returned(value)
            self._value = value
        except BaseException as error:
            self._error = error
        try:
            self._scope.__exit__(None, self._error, None)
        except StorageError as error:
            _log.warning("the end of run %s is stored later: %s", self.run.id, error)
        except ChatStoreError as error:
            self._error = error
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

    def __repr__(self) -> str:
        return _shown(self, self.run, self._task is not None and self._task.done())

    async def wait(self, timeout: float | None = None) -> Run | None:
        """As `RunHandle.wait`."""
        async with self.history.subscribe(after="now", run=self.run.id, types=(), timeout=timeout) as changes:
            while (run := await self.history.get_run(self.run.id)).state == "running":
                if await anext(changes, None) is None:
                    return None
        return run

    async def result(self, timeout: float | None = None) -> T:
        """As `RunHandle.result`."""
        assert self._task is not None
        return await asyncio.wait_for(asyncio.shield(self._task), timeout)

    async def cancel(self) -> None:
        """As `RunHandle.cancel`."""
        await self.history.cancel_run(self.run.id)

    def set_usage(self, usage: Mapping[str, JsonValue]) -> None:
        """As `RunHandle.set_usage`."""
        self._scope.set_usage(usage)

    async def interrupt(self) -> None:
        """As `RunHandle.interrupt`."""
        await self._scope.interrupt()

    def _start(self, agent: Callable[[AsyncHistory, str], Awaitable[T]], prompt: str) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work(agent, prompt))
        # The error is in the run, and in result() for those who ask: not asking is no mistake.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _work(self, agent: Callable[[AsyncHistory, str], Awaitable[T]], prompt: str) -> T:
        self._scope._enter()
        try:
            awaited = agent(self.history, prompt)
            growing_requests.returned(awaited)
            value = await awaited
            growing_requests.returned(value)
        except BaseException as error:
            await self._scope.__aexit__(None, error, None)
            raise
        try:
            await self._scope.__aexit__(None, None, None)
        except StorageError as error:
            _log.warning("the end of run %s is stored later: %s", self.run.id, error)
        return value


def _shown(handle: object, run: Run, done: bool) -> str:
    """Which run, and whether its agent works on it; what became of it is for `wait()` to read."""
    return f"<{type(handle).__name__} of run {run.id} of {run.context_id!r}, {'done' if done else 'working'}>"
