"""Steps of smolagents as they are when they are over, and those of agents that another one manages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from chatstore.errors import RunCancelled
from chatstore.model import JsonValue, Part
from chatstore.recorders.machine.script import Key, Put, Step, as_json
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.marks import PLAN
from chatstore.recorders.shared.media import picture


def usage_of(step: Lenient) -> dict[str, JsonValue] | None:
    """What a step cost. The usage on deltas is part of it, and not counted once more."""
    if step.token_usage is None:
        return None
    usage = Lenient(step.token_usage)
    return {"input_tokens": as_json(usage.input_tokens), "output_tokens": as_json(usage.output_tokens)}


def plan_of(step: Lenient) -> str:
    """What the model said as it planned, without what smolagents writes around it."""
    content = Lenient(step.model_output_message).content
    return content if isinstance(content, str) else str(step.plan or "")


def arguments_of(call: Lenient) -> str:
    """The arguments of a call: code as it is, and what a model's JSON gave as JSON."""
    given = call.arguments
    return given if isinstance(given, str) else json.dumps(as_json(given), ensure_ascii=False)


def failed(error: Any) -> str:
    """What an agent was told of its mistake."""
    return str(getattr(error, "message", None) or error)


def parts_of(values: Iterable[Any]) -> list[Part]:
    """The pictures and sounds among some values."""
    return [part for part in map(_part, values) if part is not None]


def _part(value: Any) -> Part | None:
    if type(value).__name__ == "AgentAudio":
        place = str(value.to_string())
        if "://" in place:
            return Part(type="audio", url=place)
        return Part(type="audio", mime_type="audio/wav", content=Path(place).read_bytes())
    return picture(value)


def answer(output: Any) -> tuple[str, dict[str, JsonValue], list[Part]]:
    """A last answer as text, as what it was where it was no text, and as parts where it is a picture or a sound."""
    parts = parts_of([output])
    if parts:
        return "", {}, parts
    if isinstance(output, str):
        return str(output), {}, []
    return str(output), {"output": as_json(output), "output_type": type(output).__name__}, []


@dataclass(frozen=True, slots=True)
class OfAgent:
    """A step of an agent that another one manages."""

    author: str
    step: Any


def called(event: OfAgent, parent: Key | None, keys: Iterator[int]) -> Iterator[Step]:
    """A step of a managed agent: said between agents, and part of the call that asked it."""
    step, kind = Lenient(event.step), type(event.step).__name__
    said: dict[str, Any] = {"author": event.author, "internal": True, "parent": parent}
    if kind == "FinalAnswerStep":
        text, native, parts = answer(step.output)
        yield Put("message", "assistant", text, data=native or None, parts=parts, **said)
    elif kind == "PlanningStep":
        yield Put("plan", "assistant", plan_of(step), tags=(PLAN,), usage=usage_of(step), **said)
    elif kind == "ActionStep":
        yield from _action(step, said, keys)


def _action(step: Lenient, said: dict[str, Any], keys: Iterator[int]) -> Iterator[Step]:
    usage, data = usage_of(step), {"step": step.step_number}
    if isinstance(step.model_output, str) and step.model_output:
        yield Put("reasoning", "assistant", step.model_output, data=data, usage=usage, **said)
        usage = None
    calls = each(step.tool_calls)
    for call in calls:
        key = next(keys)
        named = {"name": call.name, "call_id": call.id, "arguments": as_json(call.arguments), **data}
        yield Put("function_call", "assistant", arguments_of(call), key=key, data=named, usage=usage, **said)
        usage = None
        if call is calls[-1] and step.error is None:
            # What several tools gave is one text here, which does not say whose is what.
            named = {"call_id": call.id, "name": call.name, "is_error": False, **data}
            parts = parts_of(step.observations_images or ())
            yield Put(
                "function_result", "tool", step.observations or "", data=named, parts=parts, **{**said, "parent": key}
            )
    if step.error is not None:
        found = {"type": type(step.error).__name__, **data}
        yield Put("error", None, failed(step.error), data=found, usage=usage, **said)


@dataclass
class Watched:
    """A stream of events, and the agents below that agent, each with a callback for as long as the stream is read."""

    source: Iterable[Any]
    agents: list[Any]
    tell: Callable[[Any], None] | None = None

    def events(self) -> Iterator[Any]:
        """The events of the stream."""
        undo = [_listen(agent, self._heard) for agent in self.agents]
        try:
            yield from self.source
        finally:
            for done in undo:
                done()

    def _heard(self, step: Any, agent: Any) -> None:
        if self.tell is not None:
            try:
                self.tell(OfAgent(str(getattr(agent, "name", None) or type(agent).__name__), step))
            except RunCancelled:
                agent.interrupt()  # what it works for was stopped, which the stream says as soon as it goes on


def watched(agent: Any, source: Iterable[Any]) -> Watched:
    """The stream of an agent, with the agents that it manages, and those that these do."""
    found: list[Any] = []
    waiting = [agent]
    while waiting:
        managed = getattr(waiting.pop(), "managed_agents", None) or {}
        new = [one for one in managed.values() if one is not agent and not any(one is known for known in found)]
        found += new
        waiting += new
    return Watched(source, found)


def _listen(agent: Any, heard: Callable[[Any, Any], None]) -> Callable[[], None]:
    """Has an agent tell its steps; gives what ends that."""
    base = import_module("smolagents.memory").MemoryStep  # there, as the agent is
    registry = agent.step_callbacks
    listening = [True]

    def callback(step: Any, agent: Any) -> None:
        if listening:
            heard(step, agent)

    def end() -> None:
        listening.clear()
        callbacks = getattr(registry, "_callbacks", {}).get(base, [])  # there is no way to take one back
        if callback in callbacks:
            callbacks.remove(callback)

    registry.register(base, callback)
    return end
