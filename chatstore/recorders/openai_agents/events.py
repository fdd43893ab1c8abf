"""The events of a run of OpenAI's Agents SDK, and the result that they are of."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Unpack

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.start import start
from chatstore.recorders.openai_agents.script import AgentsScript
from chatstore.recorders.openai_agents.session import ChatStoreSession


def record(
    source: Any, history: AsyncHistory | ChatStoreSession, **options: Unpack[RecordOptions]
) -> AsyncRecording[Any]:
    """Records a run of an agent; its events come out unchanged.

    `source`: what `Runner.run_streamed(…)` gives, or its `stream_events()`. What the person said is stored too; a
    `prompt` is given where that is to be other words than the run was given. Whoever stops reading before the answer is
    there, and whoever cancels the run, cancels the result.
    """
    if type(source).__name__ == "RunResult" and not hasattr(source, "__aiter__"):
        raise InvalidInput("record takes what Runner.run_streamed(…) gives: a RunResult has no events any more")
    kept: Any = history.history if isinstance(history, ChatStoreSession) else history
    result = _result_of(source)
    script = AgentsScript(result)
    recording = start(script, source if result is None else _Events(result, source, script), kept, options)
    task = getattr(result, "run_loop_task", None)
    if task is not None:
        # A session is given the last items when nobody may read events any more: the run is known until it is over.
        task.add_done_callback(lambda _: script)
    return recording


def _result_of(source: Any) -> Any:
    """The result that events are of: only it knows how they ended, and can be cancelled."""
    if hasattr(source, "stream_events"):
        return source
    frame = getattr(source, "ag_frame", None)  # of an asynchronous generator, such as stream_events() gives
    found = None if frame is None else frame.f_locals.get("self")
    return found if hasattr(found, "stream_events") else None


class _Events(AsyncIterable[Any]):
    """The events of a result, which is cancelled with them."""

    def __init__(self, result: Any, source: Any, script: AgentsScript) -> None:
        self._result = result
        self._source = source
        self._script = script
        self._begun = False

    def __aiter__(self) -> AsyncIterator[Any]:
        self._events = aiter(self._source.stream_events() if self._source is self._result else self._source)
        return self

    async def __anext__(self) -> Any:
        if not self._begun and self._script.tap is not None:
            self._begun = True
            await self._script.tap.recall()
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            self._script.exhausted = True
            raise

    async def aclose(self) -> None:
        # Events that are closed alone wait for the agent, which goes on.
        if not self._script.complete and not getattr(self._result, "is_complete", True):
            self._result.cancel()
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()
