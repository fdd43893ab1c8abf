"""What the events of a run of the Agents SDK mean."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from chatstore.recorders.machine.script import PROMPT, Begin, Finish, Key, Mark, Put, Script, Spend, Step
from chatstore.recorders.openai_agents.answers import Answer, Call, Calls, Output
from chatstore.recorders.openai_agents.begun import Begun, goes_on
from chatstore.recorders.openai_agents.items import call_id_of, is_input, shown_by, text_of, type_of
from chatstore.recorders.openai_agents.tap import Tap
from chatstore.recorders.openai_agents.usage import less, more, spent_by
from chatstore.recorders.shared.lenient import Lenient
from chatstore.recorders.shared.marks import FINAL
from chatstore.recorders.shared.provider_events import known, member
from chatstore.recorders.shared.response_items import result_of

_log: Final = logging.getLogger("chatstore.recorders")
_CALL: Final = "tool_call_item"
_RESULT: Final = "tool_call_output_item"


@dataclass(slots=True)
class Saved:
    """Items that a session was given. Reading it sets the key of the block that each of them is; None of those that the
    run does not know, which are the session's own to store."""

    items: list[Any]
    keys: list[Key | None] = field(default_factory=list)


@dataclass(slots=True)
class _Input:
    key: Key
    text: str
    claimed: bool = False


class AgentsScript(Script[Any]):
    """One block for each item, grown from the raw events; by the agent that works.

    With `result`, the RunResultStreaming that the events are of, it is known how the run ended, and what it was given.
    Without it, an answer that calls nothing is the end.
    """

    extra = "openai-agents"

    def __init__(self, result: Any = None, *, inner: bool = False) -> None:
        self.result = result
        self.exhausted = False
        self.tap: Tap | None = None
        self._inner: bool = inner
        self._agent = _name(getattr(result, "current_agent", None))
        self._answers: list[Answer] = []
        self._inputs: list[_Input] = []
        self._ahead: list[Output] = []
        self._calls = Calls()
        self._agents: dict[Any, AgentsScript] = {}
        self._said: Key | None = None
        self._spent: dict[str, Any] = {}
        self._numbers = count()
        self._begun = Begun.of(result)

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """With the result: that the events came to their end, and the run too. Else the last answer calls nothing."""
        if self.exhausted and self.result is not None:
            return bool(getattr(self.result, "is_complete", True)) and not self.stopped and self.error is None
        last = self._answers[-1] if self._answers else None
        return last is not None and last.complete and not last.calls and not self.stopped

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        """`cancel()` of the result."""
        mode = getattr(self.result, "_cancel_mode", "none")
        return mode != "none" and getattr(self.result, "final_output", None) is None

    @property
    def error(self) -> str | None:  # type: ignore[override]
        """What the run raised without the events saying so."""
        error = getattr(self.result, "run_loop_exception", None) if self.exhausted else None
        return None if error is None else f"{type(error).__name__}: {error}"

    def meet(self, writer: Any) -> None:
        """Sessions of the same history tell it what they are given."""
        self.tap = Tap.of(self, writer)

    def asked(self, prompt: str) -> Iterable[Step]:
        """What the person said, which a session is given too, and may have stored."""
        told = not self._inputs
        self._inputs += [_Input(PROMPT, prompt)] if told else []
        return super().asked(prompt) if told else ()

    def unasked(self) -> Iterator[Step]:
        """What the run was given: a text, or the last of a list, if it says it and has not begun before."""
        if self._inputs or self._begun.resumed or goes_on(self.result):
            return
        given = self._begun.given
        said = [{"role": "user", "content": given}] if isinstance(given, str) else [*(given or ())]
        asked = len(said)
        while asked and member(said[asked - 1], "role") == "user":
            asked -= 1
        for item in said[asked:]:
            for put in shown_by(item):
                put.key = ("input", next(self._numbers))
                self._inputs.append(_Input(put.key, put.text))
                yield put

    def read(self, event: Any) -> Iterable[Step]:
        """An event of `stream_events()`, one that `on_stream` of an agent as a tool is called with, or what a session
        was given."""
        if isinstance(event, Saved):
            return self._saved(event)
        if isinstance(event, Mapping):
            return self._from_tool(event)
        kind = getattr(event, "type", None)
        if kind == "raw_response_event":
            return self._raw(event.data) if getattr(event, "data", None) is not None else ()
        if kind == "run_item_stream_event":
            return self._item(Lenient(event))
        if kind == "agent_updated_stream_event":
            self._agent = _name(Lenient(event).new_agent)
        return ()

    def finish(self) -> Iterator[Step]:
        """The answer is known now, and what waits for somebody's approval."""
        for one in getattr(self.result, "interruptions", None) or ():
            yield from self._approval(Lenient(one))
        if self._said is not None:
            yield Mark(self._said, [FINAL])

    def spent(self) -> dict[str, Any] | None:
        """With what agents cost that are tools, and answers whose events nobody read."""
        spent = less(spent_by(self.result), self._begun.spent)
        return spent if spent.get("requests") else None

    def claim(self, saved: Saved) -> None:
        """As reading it, where the run has ended and is not written any more: it knows what it had wholly written."""
        try:
            for answer in self._answers:
                answer.outputs = {index: one for index, one in answer.outputs.items() if one.text is not None}
            for _ in self._saved(saved):
                pass
        except Exception as error:  # of a script that had failed before
            _log.warning("a session stores what a recording might have: %s", type(error).__name__)

    def waiting(self) -> frozenset[str]:
        """The ids of the calls that a run goes on from."""
        items = [Lenient(one) for one in self._begun.before]
        ids = {kind: {call_id_of(one.raw_item) for one in items if one.type == kind} for kind in (_CALL, _RESULT)}
        return frozenset(id for id in ids[_CALL] - ids[_RESULT] if id is not None)

    def recalled(self, key: Key, call_id: Any, name: Any) -> None:
        """One of them is the block of that key."""
        self._calls.made(call_id, Call(key, name))

    def given(self, items: Iterable[Any]) -> list[Key]:
        """A session was given these before the recording began, and has stored them; their events come later."""
        return [self._given(item, ("given", next(self._numbers))) for item in items]

    def _given(self, item: Any, key: Key) -> Key:
        if is_input(item):
            self._inputs.append(_Input(key, text_of(item), claimed=True))
        elif type_of(item).endswith("_output"):
            self._calls.given(call_id_of(item), key)
        else:
            self._ahead.append(found := Output.of(item, whole=True))
            found.key, found.claimed = key, True
            if found.call_id is not None:
                self._calls.made(found.call_id, Call(key, member(item, "name")))
            elif found.type == "message":
                self._said = key
        return key

    def _raw(self, event: Any) -> Iterator[Step]:
        answer = self._answers[-1] if self._answers else None
        again = member(event, "type") == "response.created" and answer is not None and answer.began
        if answer is None or answer.complete or again:
            if answer is not None:
                yield from self._left(answer)
            answer = Answer(next(self._numbers), self._ahead)
            self._answers.append(answer)
        yield from self._of(answer, answer.read(event))

    def _left(self, answer: Answer) -> Iterator[Step]:
        """An answer that broke off, and that the package asks for again."""
        for key in [*answer.open]:
            yield Finish(key, error="the answer broke off, and the model was asked again")
        answer.open.clear()

    def _of(self, answer: Answer, steps: Iterable[Step]) -> Iterator[Step]:
        """Steps of an answer as steps of the run."""
        for step in steps:
            if isinstance(step, Spend):
                yield from self._spend(step.usage)
                continue
            if step.key is not None:
                step.key = (answer.number, step.key)
            if isinstance(step, (Begin, Put)):
                if step.parent is not None:
                    step.parent = (answer.number, step.parent)
                self._about(step)
                if isinstance(step, Begin):
                    answer.open[step.key] = None
                elif step.type == "function_result" and isinstance(step.data, dict):
                    step.key = step.key or (answer.number, "result", next(self._numbers))
            elif isinstance(step, Finish):
                answer.open.pop(step.key, None)
            yield step

    def _about(self, step: Begin | Put) -> None:
        """By whom a block is; calls and the last message are known by it."""
        step.author, step.internal = self._agent, self._inner
        data = step.data if isinstance(step.data, dict) else {}
        if step.type == "function_call" and step.key is not None:
            self._calls.made(data.get("call_id"), Call(step.key, data.get("name")))
        elif step.type == "message" and step.role == "assistant" and step.key is not None:
            self._said = step.key

    def _spend(self, usage: Mapping[str, Any]) -> Iterator[Step]:
        self._spent = more(self._spent, {"requests": 1, **usage})
        yield Spend(self._spent)

    def _item(self, event: Lenient) -> Iterator[Step]:
        item = Lenient(event.item)
        self._agent = _name(item.agent) or self._agent
        raw = item.raw_item
        if event.name in ("tool_output", "handoff_occured", "handoff_occurred"):
            yield from self._result(raw)
        if item.target_agent is not None:
            source, target = _name(item.source_agent), _name(item.target_agent)
            data = {"source": source, "target": target}
            yield Put("handoff", text=target or "", author=source, data=data, internal=self._inner)

    def _result(self, raw: Any) -> Iterator[Step]:
        call = self._calls.told(call_id_of(raw))
        if call is None:  # of a run before, which nobody has recorded
            self._calls.made(call_id_of(raw), call := Call(None, None, told=True))
        if call.result is None:
            yield from self._answered(raw, call)

    def _answered(self, raw: Any, call: Call) -> Iterator[Step]:
        result = result_of(raw)
        if result is None:
            return
        key = ("result", next(self._numbers))
        call.result = key
        data = {**result.data, "name": call.name or result.data.get("name")}
        about: dict[str, Any] = {"author": self._agent, "parent": call.key, "internal": self._inner}
        yield Put("function_result", role="tool", text=result.text, data=data, key=key, **about)

    def _approval(self, item: Lenient) -> Iterator[Step]:
        calls = self._calls.of.get(str(call_id_of(item.raw_item)), ())
        data = known(call_id=call_id_of(item.raw_item), name=item.tool_name)
        parent = calls[-1].key if calls else None
        yield Put("approval_request", text=str(item.tool_name or ""), data=data, author=self._agent, parent=parent)

    def _from_tool(self, event: Mapping[str, Any]) -> Iterator[Step]:
        """What an agent does that is a tool of another: internal, below the call of that tool."""
        call_id = call_id_of(event.get("tool_call"))
        if call_id is not None and call_id not in self._calls.of:
            yield from self._whole(event.get("tool_call"), True)
        calls = self._calls.of.get(str(call_id), ())
        inner = self._agents.get(call_id)
        if inner is None:
            inner = self._agents[call_id] = AgentsScript(inner=True)
        inner._agent = _name(event.get("agent")) or inner._agent
        for step in inner.read(event.get("event")):
            if isinstance(step, Spend):
                continue  # it is in what the outer one cost
            step.key = None if step.key is None else ("of", call_id, step.key)
            if isinstance(step, (Begin, Put)):
                own = None if step.parent is None else ("of", call_id, step.parent)
                step.parent = own or (calls[-1].key if calls else None)
            yield step

    def _saved(self, saved: Saved) -> Iterator[Step]:
        turns = bool(self._answers) or not self._is_first(saved.items)
        for item in saved.items:
            key = yield from self._settled(item, turns)
            saved.keys.append(key)

    def _is_first(self, items: list[Any]) -> bool:
        """Whether a session is given what the run was given, before anything came of it."""
        if self.result is not None and getattr(self.result, "new_items", None):
            return False
        return any(is_input(item) for item in items)

    def _settled(self, item: Any, turns: bool) -> Generator[Step, None, Key | None]:
        if is_input(item):
            return self._claimed_input(item)
        if type_of(item).endswith("_output"):
            call = self._calls.claimed(call_id_of(item))
            if call is not None and call.result is None:
                yield from self._answered(item, call)
            return None if call is None else call.result
        found = yield from self._whole(item, turns)
        if found is None:
            return None
        found.claimed = True
        return found.key

    def _whole(self, item: Any, turns: bool) -> Generator[Step, None, Output | None]:
        """An item that is known by other means than the events: what of it they have not told is written now."""
        wanted = Output.of(item, whole=True)
        for answer in self._answers:
            for index, output in answer.outputs.items():
                if not output.claimed and output.is_same(wanted):
                    yield from self._of(answer, answer.settle(item, index))
                    return output
        known = next((one for one in self._ahead if not one.claimed and one.is_same(wanted)), None)
        if known is not None or not turns:
            return known
        yield from self._put_ahead(item, wanted)
        return wanted

    def _put_ahead(self, item: Any, output: Output) -> Iterator[Step]:
        """An item whose events come later, if they come."""
        for put in shown_by(item):
            put.key = ("ahead", next(self._numbers))
            if put.type == "function_result":
                put.parent = output.key
            self._about(put)
            output.key = put.key
            yield put
        self._ahead.append(output)

    def _claimed_input(self, item: Any) -> Key | None:
        """What the person said. The application may have said it in its own words to the model."""
        waiting = [one for one in self._inputs if not one.claimed]
        text = text_of(item)
        found = next((one for one in waiting if one.text == text), None)
        if found is None and waiting and member(item, "role") == "user":
            found = waiting[0]
        if found is None:
            return None
        found.claimed = True
        return found.key


def _name(agent: Any) -> str | None:
    name = getattr(agent, "name", None)
    return name if isinstance(name, str) and name else None
