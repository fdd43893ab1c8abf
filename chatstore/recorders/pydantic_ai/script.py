"""What the events of an agent of pydantic-ai mean.

Seen with pydantic-ai 2.68. The events of a run come request by request: parts of an answer are numbered from 0 in each
of them. A call is open from its first piece until its result is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from chatstore.model import JsonValue
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Spend, Step, as_json
from chatstore.recorders.pydantic_ai.message_history import Folded, content_of, result_of, usage_of
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.marks import FINAL

_READERS: Final = {
    "part_start": "_part_start",
    "part_delta": "_part_delta",
    "part_end": "_part_end",
    "function_tool_call": "_tool_call",
    "output_tool_call": "_tool_call",
    "function_tool_result": "_tool_result",
    "output_tool_result": "_tool_result",
    "final_result": "_final_event",
    "deferred_tool_requests": "_deferred",
    "enqueued_messages": "_enqueued",
    "custom": "_custom",
    "capability": "_custom",
    "agent_run_result": "_result",
    "chatstore_began": "_began",
    "chatstore_messages": "_messages",
    "chatstore_ended": "_ended",
}
_TYPES: Final = {
    "text": "message",
    "speech": "message",
    "thinking": "reasoning",
    "tool-call": "function_call",
    "builtin-tool-call": "function_call",
}
_ERRORS: Final = ("failed", "retried", "interrupted")


@dataclass
class Began:
    """An agent begins a run: what it was asked, and its name."""

    prompt: Any
    author: str | None
    event_kind: str = "chatstore_began"


@dataclass
class Messages:
    """The messages of the run so far, as the agent remembers them."""

    messages: list[Any]
    event_kind: str = "chatstore_messages"


@dataclass
class Ended:
    """The run came to its end without an event that says what came of it."""

    event_kind: str = "chatstore_ended"


@dataclass
class _Open:
    """A part that is being written."""

    key: Key
    kind: str
    data: dict[str, JsonValue]
    said: str = ""
    args: dict[str, Any] | None = None


class PydanticAiScript(Script[Any]):
    """One block for each part of an answer, grown from its pieces, and one for each result of a tool."""

    extra = "pydantic-ai"

    def __init__(self) -> None:
        super().__init__()
        self._author: str | None = None
        self._prompt: str | None = None
        self._parts: dict[int, _Open] = {}
        self._calls: dict[str, _Open] = {}
        self._answer: Key | None = None
        self._by_tool: str | None = None
        self._final = False
        self._numbers = count()
        self._folded = Folded()
        self._readers: dict[Any, Callable[[Lenient], Iterator[Step]] | None] = {}

    @property
    def settled(self) -> bool:
        """Whether the last answer is one that a run ends with."""
        return self._final and not self._parts

    def asked(self, prompt: str) -> Iterator[Step]:
        """The prompt, which the agent may say once more."""
        self._prompt = prompt
        yield Put(role="user", text=prompt, data=self._numbered(prompt))

    def read(self, event: Any) -> Iterator[Step]:
        """An event of the agent."""
        kind = getattr(event, "event_kind", None)
        if kind not in self._readers:
            name = _READERS.get(kind) if isinstance(kind, str) else None
            self._readers[kind] = None if name is None else getattr(self, name)
        reader = self._readers[kind]
        return iter(()) if reader is None else reader(Lenient(event))

    def _numbered(self, text: str | None, **data: JsonValue) -> dict[str, JsonValue]:
        """The data of a block with its number, by which what the agent remembers says that it is this text."""
        number = next(self._numbers)
        if text is not None:
            self._folded.texts.setdefault(text, number)
        return {**{name: value for name, value in data.items() if value is not None}, "part": number}

    def _began(self, event: Lenient) -> Iterator[Step]:
        self._author = event.author
        if event.prompt is None:
            return
        text, parts = content_of(event.prompt)
        self._folded.add(parts)
        if text != self._prompt or parts:
            yield Put(role="user", text=text, parts=parts, data=self._numbered(text))

    def _part_start(self, event: Lenient) -> Iterator[Step]:
        part, index = Lenient(event.part), event.index
        self._final = False
        yield from self._replaced(index)
        kind = part.part_kind
        if kind in ("tool-call", "builtin-tool-call"):
            yield from self._call(part, index)
        elif kind in _TYPES:
            opened = self._opened(part, kind, message_id=part.id)
            self._parts[index] = opened
            yield Begin(opened.key, _TYPES[kind], "assistant", self._author, {**opened.data})
            yield from self._grow(opened, part.content)

    def _replaced(self, index: int) -> Iterator[Step]:
        """A part that starts where another one is still open takes its place; what was given out stays."""
        if (old := self._parts.pop(index, None)) is None:
            return
        if old.kind in ("tool-call", "builtin-tool-call"):
            self._calls = {id: call for id, call in self._calls.items() if call is not old}
        yield Finish(old.key, data={**old.data, "replaced": True})

    def _opened(self, part: Lenient, kind: str, **data: JsonValue) -> _Open:
        known: dict[str, JsonValue] = {"provider_name": part.provider_name, **data}
        return _Open(("part", next(self._numbers)), kind, self._numbered(None, **known))

    def _call(self, part: Lenient, index: int | None) -> Iterator[Step]:
        native = True if part.part_kind == "builtin-tool-call" else None
        opened = self._opened(part, str(part.part_kind), name=part.tool_name, call_id=part.tool_call_id, native=native)
        self._calls[part.tool_call_id] = opened
        if index is not None:
            self._parts[index] = opened
        yield Begin(opened.key, "function_call", "assistant", self._author, {**opened.data})
        yield from self._arguments(opened, part.args)

    def _arguments(self, opened: _Open, args: Any) -> Iterator[Step]:
        if isinstance(args, dict):
            opened.args = {**(opened.args or {}), **args}  # a dict has no text before all of it is there
        elif isinstance(args, str):
            yield from self._grow(opened, args)

    def _grow(self, opened: _Open, text: Any) -> Iterator[Step]:
        if isinstance(text, str) and text:
            opened.said += text
            yield Grow(opened.key, text)

    def _part_delta(self, event: Lenient) -> Iterator[Step]:
        opened, delta = self._parts.get(event.index), Lenient(event.delta)
        if opened is None:
            return  # citations come behind the end of their part
        if opened.kind in ("tool-call", "builtin-tool-call"):
            yield from self._arguments(opened, delta.args_delta)
        elif opened.kind == "speech":
            whole = delta.transcript
            corrected = isinstance(whole, str) and not whole.startswith(opened.said)
            yield from self._grow(opened, None if corrected or whole is None else whole[len(opened.said) :])
        else:
            yield from self._grow(opened, delta.content_delta)

    def _part_end(self, event: Lenient) -> Iterator[Step]:
        part, opened = Lenient(event.part), self._parts.pop(event.index, None)
        kind = part.part_kind
        if opened is None:
            yield from self._whole(part, kind)
        elif opened.kind in ("tool-call", "builtin-tool-call"):
            yield from self._named(opened, part)
        else:
            if part.content == opened.said:
                self._folded.texts.setdefault(opened.said, opened.data["part"])
            details = as_json(part.provider_details) if part.provider_details else None
            found = {"signature": part.signature, "message_id": part.id, "provider_name": part.provider_name}
            found |= {"provider_details": details, "citations": as_json(part.citations)}
            data = {**opened.data, **{name: value for name, value in found.items() if value is not None}}
            whole = part.content if isinstance(part.content, str) else None
            yield Finish(opened.key, whole, None if data == opened.data else data)
            if opened.kind in ("text", "speech"):
                self._answer = opened.key

    def _named(self, opened: _Open, part: Lenient) -> Iterator[Step]:
        """All of a call is there; it stays open until it is answered."""
        if isinstance(opened.args, dict):
            yield from self._grow(opened, json.dumps(as_json(part.args or opened.args), ensure_ascii=False))
            opened.args = None
        elif part.args == opened.said:
            self._folded.texts.setdefault(opened.said, opened.data["part"])
        self._calls[part.tool_call_id] = opened
        opened.data |= {"name": part.tool_name, "call_id": part.tool_call_id}

    def _whole(self, part: Lenient, kind: Any) -> Iterator[Step]:
        """A part that comes at once."""
        if kind == "file":
            text, parts = content_of([part.content])
            self._folded.add(parts)
            key = self._answer = ("part", next(self._numbers))
            data = self._numbered(None, message_id=part.id, provider_name=part.provider_name)
            yield Put(role="assistant", text=text, parts=parts, author=self._author, data=data, key=key)
        elif kind == "builtin-tool-return":
            yield from self._answered(part, None)
        elif kind == "compaction":
            data = self._numbered(part.content, provider_name=part.provider_name)
            yield Put("compaction", text=part.content or "", author=self._author, data=data, internal=True)

    def _tool_call(self, event: Lenient) -> Iterator[Step]:
        """A tool is about to be called. A call that an earlier run has left open is new in this one."""
        part = Lenient(event.part)
        if part.it is not None and part.tool_call_id not in self._calls:
            yield from self._call(part, None)
            yield from self._named(self._calls[part.tool_call_id], part)
        if event.event_kind == "output_tool_call" and part.tool_call_id in self._calls:
            self._answer = self._calls[part.tool_call_id].key

    def _tool_result(self, event: Lenient) -> Iterator[Step]:
        part = Lenient(event.part or event.result)
        if part.it is not None:
            yield from self._answered(part, event.content)

    def _answered(self, part: Lenient, behind: Any) -> Iterator[Step]:
        call = self._calls.pop(part.tool_call_id, None)
        if call is not None:
            self._parts = {index: one for index, one in self._parts.items() if one is not call}
            yield Finish(call.key, data={**call.data})
        text, native, parts = result_of(part)
        more, shown = content_of(behind) if behind else ("", [])
        outcome = None if part.outcome in ("success", None) else str(part.outcome)
        error = outcome in _ERRORS or part.part_kind == "retry-prompt"
        data = self._numbered(text, call_id=part.tool_call_id, name=part.tool_name, is_error=error, outcome=outcome)
        data |= {name: value for name, value in {"content": native, "shown": more or None}.items() if value is not None}
        self._folded.add([*parts, *shown])
        yield Put(
            "function_result",
            "tool",
            text,
            author=self._author,
            data=data,
            parts=[*parts, *shown],
            parent=None if call is None else call.key,
        )

    def _final_event(self, event: Lenient) -> Iterator[Step]:
        self._final, self._by_tool = True, event.tool_name
        return iter(())

    def _deferred(self, event: Lenient) -> Iterator[Step]:
        """Calls that wait for somebody outside: an approval, an answer, a result."""
        requests = Lenient(event.requests)
        self._final = True
        for kind, calls in (("approval", each(requests.approvals)), ("external", each(requests.calls))):
            for call in calls:
                waiting = self._calls.get(call.tool_call_id)
                told = requests.kind(call.tool_call_id) if callable(requests.kind) else kind
                data: dict[str, JsonValue] = {"call_id": call.tool_call_id, "name": call.tool_name, "waits_for": told}
                if metadata := (requests.metadata or {}).get(call.tool_call_id):
                    data["metadata"] = as_json(metadata)
                yield Put(
                    "input_request", author=self._author, data=data, parent=None if waiting is None else waiting.key
                )

    def _enqueued(self, event: Lenient) -> Iterator[Step]:
        """Messages that came into the run while it went on."""
        for message in each(event.messages):
            for part in each(message.parts):
                if part.part_kind == "user-prompt":
                    text, parts = content_of(part.content)
                    self._folded.add(parts)
                    yield Put(role="user", text=text, parts=parts, data=self._numbered(text, enqueued=event.enqueue_id))

    def _custom(self, event: Lenient) -> Iterator[Step]:
        """An event of somebody's own."""
        call = self._calls.get(event.tool_call_id)
        data = {"name": str(event.name or event.kind), "event": as_json(_fields(event.it))}
        parent = None if call is None else call.key
        internal = event.event_kind == "capability"
        yield Put("status", text=data["name"], author=self._author, data=data, internal=internal, parent=parent)

    def _messages(self, event: Lenient) -> Iterator[Step]:
        messages, first = self._folded.fresh(event.messages)
        if not messages:
            return
        tags = (Folded.FIRST,) if first else ()
        yield Put(Folded.TYPE, author=self._author, data={Folded.MESSAGES: messages}, tags=tags, internal=True)
        if (usage := usage_of(event.messages)) is not None:
            yield Spend(usage)

    def _result(self, event: Lenient) -> Iterator[Step]:
        result = Lenient(event.result)
        for opened in [*{id(one): one for one in [*self._parts.values(), *self._calls.values()]}.values()]:
            yield Finish(opened.key, data={**opened.data})
        self._parts, self._calls = {}, {}
        output = result.output
        if self._by_tool is not None and type(output).__name__ != "DeferredToolRequests":
            native = as_json(_fields(output))
            text = native if isinstance(native, str) else json.dumps(native, ensure_ascii=False)
            data = {"output": native, "name": self._by_tool}
            yield Put(role="assistant", text=text, author=self._author, data=data, tags=(FINAL,))
        elif self._answer is not None and type(output).__name__ != "DeferredToolRequests":
            yield Mark(self._answer, [FINAL])
        if callable(result.new_messages):
            yield from self._messages(Lenient(Messages(result.new_messages())))
        self.complete = True

    def _ended(self, event: Lenient) -> Iterator[Step]:
        """Of the answer nothing is known but the events: one by a tool is the call of that tool."""
        if self._answer is not None and self.settled:
            yield Mark(self._answer, [FINAL])
        self.complete: bool = self.settled


def _fields(value: Any) -> Any:
    """The fields of a dataclass, also of those in lists."""
    if isinstance(value, (list, tuple)):
        return [_fields(one) for one in value]
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is None:
        return value
    return {name: _fields(getattr(value, name, None)) for name in names if not name.startswith("_")}
