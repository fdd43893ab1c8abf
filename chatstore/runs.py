"""Runs: one request being answered, from its start to an end that everybody sees."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from weakref import finalize

from chatstore import checks, growing_requests, requests
from chatstore.core import Core
from chatstore.errors import ChatStoreError, RunCancelled, StorageError, UsageError
from chatstore.finalizing import apart
from chatstore.ids import id_text, new_id, now
from chatstore.model import JsonValue, Run
from chatstore.operations import running
from chatstore.operations.growing import Rest
from chatstore.operations.running import RunEnding
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.writing.drafts import rules_of
from chatstore.writing.flushing import Flusher
from chatstore.writing.growing import ENDED, Growing
from chatstore.writing.waiting import wait, wait_async

if TYPE_CHECKING:
    from chatstore.async_history import AsyncHistory
    from chatstore.history import History

T = TypeVar("T")
H = TypeVar("H")
_log = logging.getLogger(__name__)
_STOPPED = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RunCancelled)
_current: ContextVar[tuple[_Scope | _Elsewhere, ...]] = ContextVar("chatstore_runs", default=())


def current_run(store_path: str, context_id: str) -> str | None:
    """The id of the run that blocks of this context are written in now, in this thread or task."""
    for scope in reversed(_current.get()):
        if not scope.over and scope.place == (store_path, context_id):
            return scope.id
    return None


def history_of_current_run(face: type[H]) -> H:
    """The history of the run that goes on in this thread or task. Raises UsageError where none does, or one of the
    other face."""
    scopes = _current.get()
    # The innermost alone: if that is over, this task or thread has outlived it, and what it says is no part of the run
    # outside, which may be of another context.
    if not scopes or scopes[-1].over:
        what = "the run that this thread or task belonged to has ended" if scopes else "no run goes on here"
        raise UsageError(
            f"{what}: call it inside `with history.run()`, an agent of submit() or a stream that is recorded. A thread"
            " knows of a run if it is started by asyncio.to_thread() or contextvars.copy_context().run"
        )
    history = getattr(scopes[-1], "_history", None)
    if not isinstance(history, face):
        kind = type(history).__name__.replace("Remote", "")
        raise UsageError(f"the run that goes on here writes into a history of another kind: take {kind}.current()")
    return history


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A run that was entered elsewhere, as by another process."""

    id: str
    place: tuple[str, str]
    over: bool = False


@contextmanager
def written_for(run_id: str, history: AsyncHistory) -> Iterator[None]:
    """What this task writes into a history meanwhile belongs to a run that was begun elsewhere."""
    place = (history._store.location, history.context_id)
    token = _current.set((*_current.get(), _Elsewhere(run_id, place)))
    try:
        yield
    finally:
        _current.reset(token)


def as_they_end(opened: Iterable[T]) -> list[T]:
    """Writers and runs in the order in which they end together: blocks before their runs, and runs before those that
    they are part of."""
    found = [*opened]
    scopes = [one for one in found if isinstance(one, _Scope)]
    return [*(one for one in found if one not in scopes), *reversed(scopes)]


class Inside:
    """Makes a run current for a while, again and again: where code of the run alternates with code that is not of it,
    in one thread or task."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope

    @contextmanager
    def not_yet(self) -> Iterator[None]:
        """What is done here makes no run current beyond it: for entering the scope."""
        token = _current.set(_current.get())
        try:
            yield
        finally:
            _current.reset(token)

    def __enter__(self) -> None:
        self._token = _current.set((*_current.get(), self._scope))

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


class _Scope:
    """What both scopes share: the run's id, its parent, its usage, and its place among the current runs."""

    def __init__(self, store_path: str, context: ContextRef, parent_run_id: str | None) -> None:
        if parent_run_id is not None:
            checks.name(parent_run_id, "parent_run_id")
        self.id: str = id_text(new_id(now()))
        self.place: tuple[str, str] = (store_path, context.context_id)
        self.over: bool = False
        outer = [scope.id for scope in _current.get() if scope.place[0] == store_path and not scope.over]
        self.parent_run_id: str | None = outer[-1] if parent_run_id is None and outer else parent_run_id
        self._usage: str | None = None
        self._context = context
        self._flusher: Flusher | None = None

    def __repr__(self) -> str:
        state = "over" if self.over else "not entered" if self._flusher is None else "running"
        return f"<{type(self).__name__} {self.id} of {self._context.context_id!r}, {state}>"

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
        """Takes it from the current runs, in whatever context it is left. Returns the blocks to stop before it ends."""
        self.over = True
        self._forget()
        return [] if self._flusher is None else self._flusher.of_run(self.id)

    def _forget(self) -> None:
        """Takes it from the current runs of this context alone."""
        _current.set(tuple(scope for scope in _current.get() if scope is not self))

    def _write(self, ending: RunEnding) -> Callable[[Transaction], Run]:
        ending = replace(ending, limits=rules_of(self._context).limits)
        return partial(running.end_run, context=self._context, run_id=self.id, ending=ending)

    def _end_with(self, ending: RunEnding, blocks: Iterable[Growing]) -> Callable[[Transaction], Run]:
        """The write that ends the run, with the text that its blocks, stopped by now, still hold."""
        rests: dict[int, Rest] = {}
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
        self._begin(core.flusher)
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if apart(self.__exit__, kind, error, None):
            self._forget()  # here, too
            return
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

    def _begin(self, flusher: Flusher) -> None:
        self._started(flusher)
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
        self._begin(core.flusher)
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
        finally:
            self._forget()  # shielded, it was left in a context of its own

    async def interrupt(self) -> None:
        """As `RunScope.interrupt`."""
        if not self.over:
            with suppress(ChatStoreError):
                await self._end(RunEnding("interrupted"))

    def _begin(self, flusher: Flusher) -> None:
        self._started(flusher)
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
