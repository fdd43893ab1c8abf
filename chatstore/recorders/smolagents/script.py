"""Events of smolagents as blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Unpack

from chatstore.errors import InvalidInput
from chatstore.history import History
from chatstore.model import JsonValue, Part, Tag
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Step, as_json
from chatstore.recorders.machine.start import start
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.marks import FINAL, PLAN
from chatstore.recorders.smolagents.steps import (
    OfAgent,
    answer,
    arguments_of,
    called,
    failed,
    parts_of,
    plan_of,
    usage_of,
    watched,
)

_NO_RESULT: Final = "it gave no result"


def record(
    source: Iterable[Any], history: History, *, agent: Any = None, **options: Unpack[RecordOptions]
) -> Recording[Any]:
    """Records a run of an agent; its events come out unchanged.

    With `agent`, plans are known while they are written, the pictures of the task are kept with the `prompt`, and the
    agents that it manages are recorded too: by callbacks, which are removed when the run ends, as `internal` blocks
    below the call that asked them. The last answer is the one message of the run; it is tagged `answer/final`.
    """
    if isinstance(source, (str, bytes)) or not isinstance(source, Iterable):
        raise InvalidInput("record takes the events of a run: agent.run(task, stream=True)")
    team = watched(agent, source)
    recording: Recording[Any] = start(SmolagentsScript(agent), team.events(), history, options)
    team.tell = recording.take
    return recording


@dataclass
class _Call:
    """A call that has no result yet."""

    key: Key
    id: str | None = None
    name: str | None = None
    announced: bool = False


@dataclass
class _Turn:
    """What came of a model's answer so far: its text, the calls in it, and the first block of it, which it cost."""

    number: int
    text: Key | None = None
    said: bool = False
    is_plan: bool = False
    first: Key | None = None
    streamed: dict[int, _Call] = field(default_factory=dict)
    calls: list[_Call] = field(default_factory=list)


class SmolagentsScript(Script[Any]):
    """A model's words become `reasoning`, or a `plan`; its calls are open until their results are there."""

    extra = "smolagents"

    def __init__(self, agent: Any = None) -> None:
        super().__init__()
        self._agent = agent
        self._author: str | None = getattr(agent, "name", None)
        self._keys = iter(range(2**63))
        self._turn = _Turn(1)
        self._planned = False
        self._last: Any = None
        self._broken: Lenient | None = None
        self._at_limit = False
        self._seen = [*_task_images(agent)]
        self._read: dict[str, Callable[[Lenient], Iterator[Step]]] = {
            "ChatMessageStreamDelta": self._delta,
            "ToolCall": self._tool_call,
            "ToolOutput": self._tool_output,
            "ActionStep": self._action,
            "PlanningStep": self._plan,
            "FinalAnswerStep": self._answer,
            "OfAgent": self._of_agent,
        }

    def asked(self, prompt: str) -> Iterator[Step]:
        """The prompt with the pictures of the task."""
        yield Put(role="user", text=prompt, parts=parts_of(self._seen))

    def read(self, event: Any) -> Iterator[Step]:
        """An event of the stream, or one of an agent that this one manages."""
        read = self._read.get(type(event).__name__)
        if read is None:
            return
        if self._broken is not None and not isinstance(event, OfAgent):
            # The stream goes on, so that step was no broken one.
            broken, self._broken = self._broken, None
            yield from self._end_step(broken)
        yield from read(Lenient(event))

    def _begin(self, type: str, data: JsonValue, tags: tuple[Tag, ...] = ()) -> Begin:
        key = next(self._keys)
        self._turn.first = key if self._turn.first is None else self._turn.first
        return Begin(key, type, role="assistant", author=self._author, data=data, tags=tags)

    def _delta(self, delta: Lenient) -> Iterator[Step]:
        if content := delta.content:
            if self._turn.text is None:
                yield self._begin_text()
            yield Grow(self._turn.text, content)
        for call in each(delta.tool_calls):
            yield from self._arguments(call)

    def _begin_text(self) -> Begin:
        turn = self._turn
        turn.said, turn.is_plan = True, self._is_planning()
        type, tags = ("plan", (PLAN,)) if turn.is_plan else ("reasoning", ())
        begin = self._begin(type, {"step": turn.number}, tags)
        turn.text = begin.key
        return begin

    def _arguments(self, delta: Lenient) -> Iterator[Step]:
        function = Lenient(delta.function)
        call = self._turn.streamed.get(delta.index)
        if call is None:
            call, begin = self._begin_call(delta.id, function.name)
            self._turn.streamed[delta.index] = call
            yield begin
        call.id, call.name = call.id or delta.id, call.name or function.name
        if isinstance(text := function.arguments, str) and text:
            yield Grow(call.key, text)

    def _begin_call(self, id: str | None, name: str | None) -> tuple[_Call, Begin]:
        begin = self._begin("function_call", {"name": name, "call_id": id, "step": self._turn.number})
        call = _Call(begin.key, id, name)
        self._turn.calls.append(call)
        return call, begin

    def _is_planning(self) -> bool:
        """Whether the agent makes a plan now: its events do not say it before the plan is there."""
        interval: int | None = getattr(self._agent, "planning_interval", None)
        number: int = getattr(self._agent, "step_number", 1)
        return interval is not None and not self._planned and (number - 1) % interval == 0

    def _plan(self, step: Lenient) -> Iterator[Step]:
        usage = usage_of(step)
        self._planned = True
        if self._turn.text is not None:
            yield Finish(self._turn.text, usage=usage)
            if not self._turn.is_plan:
                yield Mark(self._turn.text, [PLAN])
        else:
            data = {"step": self._turn.number}
            yield self._put("plan", "assistant", plan_of(step), data=data, tags=(PLAN,), usage=usage)
        self._turn = _Turn(self._turn.number)

    def _tool_call(self, event: Lenient) -> Iterator[Step]:
        yield from self._end_text()
        waiting = [call for call in self._turn.streamed.values() if not call.announced]
        call = next((call for call in waiting if (call.id or "") == event.id), waiting[0] if waiting else None)
        if call is None:
            call, begin = self._begin_call(event.id, event.name)
            yield begin
            yield Grow(call.key, arguments_of(event))
        call.id, call.name, call.announced = event.id, event.name, True

    def _end_text(self) -> Iterator[Step]:
        key, self._turn.text = self._turn.text, None
        if key is not None:
            yield Finish(key)

    def _tool_output(self, event: Lenient) -> Iterator[Step]:
        # Of two calls with one id smolagents makes the later one only.
        call = next((call for call in reversed(self._turn.calls) if call.id == event.id), None)
        picture = parts_of([event.output])
        data = {"output": as_json(event.output)} if not picture and not isinstance(event.output, str) else {}
        call = call or _Call(None, event.id, Lenient(event.tool_call).name)
        yield from self._result(call, str(event.observation or ""), data, picture)

    def _result(self, call: _Call, text: str, data: dict[str, Any], parts: list[Part]) -> Iterator[Step]:
        if call.key is not None:
            self._turn.calls.remove(call)
            yield Finish(call.key, data=self._named(call))
        data = {"call_id": call.id, "name": call.name, "is_error": False, **data}
        yield self._put("function_result", "tool", text, data=data, parts=parts, parent=call.key)

    def _named(self, call: _Call) -> JsonValue:
        return {"name": call.name, "call_id": call.id, "step": self._turn.number}

    def _action(self, step: Lenient) -> Iterator[Step]:
        if step.it is self._last:
            self._at_limit = True  # the step before the end is yielded once more where the steps are used up
            return
        self._last = step.it
        if step.error is None and step.model_output_message is None:
            # The model broke off, which is raised after this. What it said so far fails with the run.
            self._broken = step
            return
        yield from self._end_step(step)

    def _end_step(self, step: Lenient) -> Iterator[Step]:
        yield from self._end_text()
        text = step.model_output
        if not self._turn.said and isinstance(text, str) and text:
            yield self._put("reasoning", "assistant", text, data={"step": self._turn.number})
        yield from self._end_calls(step)
        if step.error is not None:
            yield self._put("error", None, failed(step.error), data=self._error_data(step))
        if (usage := usage_of(step)) is not None and self._turn.first is not None:
            yield Mark(self._turn.first, usage=usage)
        self._turn = _Turn(self._turn.number + 1)
        self._planned = False

    def _end_calls(self, step: Lenient) -> Iterator[Step]:
        parts = self._pictures(step)
        for call in [*self._turn.calls]:
            if step.error is not None:
                yield Finish(call.key, data=self._named(call), error=failed(step.error))
            elif step.code_action is not None:
                yield from self._result(call, step.observations or "", {}, parts)
                parts = []
            else:
                yield Finish(call.key, data=self._named(call), error=_NO_RESULT)
        if parts:
            yield self._put("observation", "tool", "", data={"step": self._turn.number}, parts=parts)

    def _error_data(self, step: Lenient) -> JsonValue:
        data = {"type": type(step.error).__name__, "step": self._turn.number}
        return {**data, "observations": str(step.observations)} if step.observations else data

    def _pictures(self, step: Lenient) -> list[Part]:
        """The pictures that came with a step: those of the task are with every step again."""
        images = step.observations_images or ()
        new = [image for image in images if not any(image is one for one in self._seen)]
        self._seen += new
        return parts_of(new)

    def _answer(self, event: Lenient) -> Iterator[Step]:
        usage = None
        data: dict[str, JsonValue] = {}
        if self._at_limit:
            last = Lenient(_last_step(self._agent))
            usage, data["stop_reason"] = usage_of(last), "max_steps"
            yield self._put("error", None, "Reached max steps.", data={"type": "AgentMaxStepsError"})
        text, native, parts = answer(event.output)
        yield self._put(
            "message", "assistant", text, data={**data, **native} or None, parts=parts, tags=(FINAL,), usage=usage
        )
        self.complete = True

    def _of_agent(self, given: Lenient) -> Iterator[Step]:
        event: OfAgent = given.it
        calling = [call for call in self._turn.calls if call.name == event.author] or self._turn.calls
        yield from called(event, calling[0].key if calling else None, self._keys)

    def _put(self, type: str, role: str | None, text: str, **fields: Any) -> Put:
        key = next(self._keys)
        if role == "assistant" and type != "message" and self._turn.first is None:
            self._turn.first = key
        return Put(type, role, text, key=key, author=self._author, **fields)


def _task_images(agent: Any) -> Iterable[Any]:
    steps = getattr(getattr(agent, "memory", None), "steps", None) or [None]
    return getattr(steps[-1], "task_images", None) or ()


def _last_step(agent: Any) -> Any:
    """The step that only the agent's memory has: the one in which it had to answer."""
    steps = getattr(getattr(agent, "memory", None), "steps", None) or [None]
    return steps[-1]
