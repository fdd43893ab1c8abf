"""The capability that records the runs of an agent, the handler of events, and `record` for one stream."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, Unpack

from chatstore.async_history import AsyncHistory
from chatstore.errors import MissingExtra, UsageError
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.recorders.machine.course import not_begun
from chatstore.recorders.machine.options import RecordOptions, check_options
from chatstore.recorders.machine.pulling import pulled_by
from chatstore.recorders.machine.start import start
from chatstore.recorders.pydantic_ai.message_history import check_history, messages
from chatstore.recorders.pydantic_ai.script import Began, Ended, Messages, PydanticAiScript

if TYPE_CHECKING:  # the package is an extra, and not there where types are checked
    AgentRunResultEvent: Any
    CapabilityOrdering: Any

    class AbstractCapability:
        """What is made use of here."""
else:
    try:
        from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
        from pydantic_ai.run import AgentRunResultEvent
    except ImportError as error:
        raise MissingExtra(f"{error.name} is not installed: pip install 'chatstore[pydantic-ai]'") from error

__all__ = ["PydanticAiScript", "Recorder", "messages", "record", "recording"]

Place: TypeAlias = AsyncHistory | Callable[[Any], AsyncHistory]
_recorded: Final[set[tuple[tuple[str, str], Any]]] = set()
"""The runs of agents that a `Recorder`, or `record` in its place, writes now, by where they are written to."""
_waiting: Final[ContextVar[Handling | None]] = ContextVar("chatstore_pydantic_ai", default=None)
"""The `recording` around what is done here."""


def record(source: AsyncIterable[Any], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[Any]:
    """Records what `async with agent.run_stream_events(…)` gives; the events come out unchanged.

    The stream does not say what the agent was asked: give it as `prompt=`. A `Recorder` of the agent that would write
    into the same history stands aside.
    """
    return start(PydanticAiScript(), source, history, options)


def recording(history: AsyncHistory, **options: Unpack[RecordOptions]) -> Handling:
    """A handler to give as `event_stream_handler=`, and the run of the history that its events are written into.

    The run begins with the first events and ends as the `async with` is left. It is `completed` if the last answer was
    one that ends a run. With agents that tools run with the same handler, those have runs of their own, as parts of it.
    What a `Recorder` writes into the same history is not written once more.
    """
    return Handling(history, options)


class Handling:
    """What `recording` gives: enter it by `async with`, which gives the handler."""

    def __init__(self, history: AsyncHistory, options: RecordOptions) -> None:
        _check(history, options)
        self._history, self._options = history, options
        self._writer = AsyncScriptWriter(PydanticAiScript(), history, options)
        self._of_run: dict[Any, AsyncScriptWriter | None] = {}
        self._place = _place(history)
        self._begun = self._elsewhere = False
        self._outer: Any = None

    @property
    def run_id(self) -> str:
        """The id of the run, known from the start."""
        return self._writer.scope.id

    async def __aenter__(self) -> Callable[[Any, AsyncIterable[Any]], Awaitable[None]]:
        if self._outer is not None:
            raise UsageError("a recording is entered once; make another for another run: recording(history)")
        self._outer = _waiting.set(self)
        return self.handle

    async def handle(self, context: Any, events: AsyncIterable[Any]) -> None:
        """The handler."""
        if self._outer is None:
            raise UsageError("the handler is what `async with recording(history) as handler` gives")
        writer = await self._of(context)
        if writer is not None:
            await writer.take(_told(context))
        async for event in events:
            if writer is not None:
                await writer.take(event)

    def give_way(self, place: tuple[str, str]) -> None:
        """An agent is recorded by another recorder: if it fails before its first event, that one says so."""
        self._elsewhere = self._elsewhere or place == self._place

    async def _of(self, context: Any) -> AsyncScriptWriter | None:
        """Who writes a run of an agent; None where somebody else does, into the same history."""
        run = getattr(context, "run_id", None)
        if run not in self._of_run:
            self._of_run[run] = None if await _stands_aside(self._place, context) else await self._begin(context)
        return self._of_run[run]

    async def _begin(self, context: Any) -> AsyncScriptWriter:
        if self._begun or self._of_run:
            within: RecordOptions = {**self._options}
            if self._begun:
                await self._writer.begin()  # another agent may begin it at the same time
                within["parent_run_id"] = self.run_id
            within.pop("prompt", None)
            writer = AsyncScriptWriter(PydanticAiScript(), self._history, within)
            await writer.begin()
        else:
            self._begun, writer = True, self._writer
            await writer.begin()
            writer.scope._enter()  # what tools write is of the run; the scope leaves as it ends
        await writer.take(_began(context))
        return writer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ValueError):  # left in another task than it was entered in
            _waiting.reset(self._outer)
        if error is not None and not self._of_run and not self._elsewhere:
            self._of_run[None] = self._writer  # it failed before there was any event
            await self._writer.begin()
        for writer in reversed(self._of_run.values()):
            if writer is not None:
                if error is None:
                    await writer.take(Ended())
                await writer.end(error)


class Recorder(AbstractCapability):
    """A capability that records the runs of an agent: each as one run of a history.

    Give it to one run, `agent.run(…, capabilities=[Recorder(history)])`, or to the agent. Then `history` may be a
    function that takes the RunContext and gives the history, such as one that `deps` names. The options are those of
    every recorder.
    """

    def __init__(self, history: Place, **options: Unpack[RecordOptions]) -> None:
        super().__init__()
        if isinstance(history, AsyncHistory) or not callable(history):
            _check(history, options)
        self._place, self._options = history, options
        self._writer: AsyncScriptWriter | None = None

    @classmethod
    def get_serialization_name(cls) -> str | None:
        """None: a history is no part of a specification of an agent."""
        return None

    def get_ordering(self) -> Any:
        """Outside of the others: what is recorded is what comes out."""
        return CapabilityOrdering(position="outermost")

    async def for_run(self, ctx: Any) -> Self:
        """One for each run."""
        return copy(self)

    @property
    def run_id(self) -> str | None:
        """The id of the run of the history that is written; None for one that is of no run of an agent."""
        return None if self._writer is None else self._writer.scope.id

    async def wrap_run(self, ctx: Any, *, handler: Callable[[], Awaitable[Any]]) -> Any:
        """Records the run, from its start to whatever end."""
        history = self._history_of(ctx)
        if history is None:
            return await handler()
        if (outer := _waiting.get()) is not None:
            outer.give_way(_place(history))
        aside = await _stands_aside(_place(history), ctx)
        mine = _named(_place(history), ctx)
        new = {mine} - _recorded
        _recorded.update(new)
        try:
            return await (handler() if aside else self._write(history, ctx, handler))
        finally:
            _recorded.difference_update(new)

    def _history_of(self, ctx: Any) -> AsyncHistory | None:
        """Where the run is written to; None where a function does not say it."""
        place = self._place
        try:
            history = place if isinstance(place, AsyncHistory) else place(ctx)
            _check(history, self._options)
        except Exception as error:
            if self._options.get("strict"):
                raise
            not_begun(error)
            return None
        return history

    async def _write(self, history: AsyncHistory, ctx: Any, handler: Callable[[], Awaitable[Any]]) -> Any:
        self._writer = writer = AsyncScriptWriter(PydanticAiScript(), history, self._options)
        await writer.begin()
        try:
            with writer.inside:
                await writer.take(_began(ctx))
                result = await handler()
            await writer.take(AgentRunResultEvent(result))
        except BaseException as error:
            await writer.end(error)
            raise
        await writer.end(None)
        return result

    async def wrap_run_event_stream(self, ctx: Any, *, stream: AsyncIterable[Any]) -> AsyncIterable[Any]:
        """Records the events of one request, or of one round of tools."""
        writer = self._writer
        try:
            if writer is not None:
                await writer.take(_told(ctx))
            async for event in stream:
                if writer is not None:
                    await writer.take(event)
                yield event
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()


def _began(context: Any) -> Began:
    agent = getattr(context, "agent", None)
    return Began(getattr(context, "prompt", None), getattr(agent, "name", None))


def _place(history: AsyncHistory) -> tuple[str, str]:
    return history._store.location, history.context_id


def _named(place: tuple[str, str], context: Any) -> tuple[tuple[str, str], Any]:
    run = getattr(context, "run_id", None)
    return place, object() if run is None else run  # without a name it is like no other


async def _stands_aside(place: tuple[str, str], context: Any) -> bool:
    """Whether somebody else writes this run of an agent there; `record` is told what the agent was asked."""
    if _named(place, context) in _recorded:
        return True
    if (other := pulled_by(place)) is None:
        return False
    await other.take(_began(context))
    return True


def _told(context: Any) -> Messages:
    run = getattr(context, "run_id", None)
    said = getattr(context, "messages", None) or ()
    return Messages([message for message in said if getattr(message, "run_id", None) == run])


def _check(history: Any, options: RecordOptions) -> None:
    check_options(options, "a recorder")
    check_history(history, "a recorder")
