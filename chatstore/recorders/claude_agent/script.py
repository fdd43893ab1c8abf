"""Messages of the Claude Agent SDK as blocks, as they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar, Unpack, overload

from chatstore.async_history import AsyncHistory
from chatstore.history import History
from chatstore.recorders.claude_agent.entries import picture
from chatstore.recorders.claude_agent.sessions import SESSION
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Spend, Step, as_json
from chatstore.recorders.machine.start import start
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.marks import FINAL
from chatstore.recorders.shared.provider_events import known

E = TypeVar("E")

_TYPES: Final = {"text": "message", "thinking": "reasoning", "tool_use": "function_call"}
_CLASSES: Final = {"TextBlock": "text", "ThinkingBlock": "thinking", "ToolUseBlock": "tool_use"}
_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


@overload
def record(source: Iterable[E], history: History, **options: Unpack[RecordOptions]) -> Recording[E]: ...
@overload
def record(source: AsyncIterable[E], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[E]: ...
def record(source: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records `query(…)`, or `client.receive_response()`; with `include_partial_messages=True` text as it is written.

    As `chatstore.recorders.record`. The history of a session of a ClaudeSessionStore, which would have everything
    twice, is refused with UsageError before anything is written.
    """
    return start(ClaudeScript(), source, history, options)


class ClaudeScript(Script[Any]):
    """One block for each content block: what was streamed of it, and the message that says it again, are one.

    A call is open until its result is there. What subagents do is internal, below the call that asked for it. A
    ResultMessage ends the stream.
    """

    extra = "claude-agent"
    written_by: ClassVar[tuple[str, str] | None] = (SESSION, "ClaudeSessionStore")

    def __init__(self) -> None:
        super().__init__()
        self.complete: bool = False
        self.error: str | None = None
        self._prompt: str | None = None
        self._message: dict[str | None, str] = {}
        self._streamed: dict[str, list[tuple[Key, str]]] = {}
        self._open: dict[Key, _Open] = {}
        self._running: set[Key | None] = set()
        self._calls: dict[str, Key] = {}
        self._names: dict[str, str] = {}
        self._agents: dict[str, str] = {}
        self._answer: Key | None = None
        self._count = 0

    def asked(self, prompt: str) -> Iterable[Step]:
        """The prompt; where the SDK says it once more, it is not stored again."""
        self._prompt = prompt
        return super().asked(prompt)

    def read(self, event: Any) -> Iterable[Step]:
        """One message, by its class; every class of system messages is one."""
        message = Lenient(event)
        read = _READ.get(message.kind)
        if read is None and isinstance(message.subtype, str) and isinstance(message.data, dict):
            read = ClaudeScript._system
        return () if read is None else read(self, message)

    def _stream(self, message: Lenient) -> Iterable[Step]:
        self.complete = False
        event, scope = message.event, message.parent_tool_use_id
        if not isinstance(event, dict):
            return ()
        key = (self._message.get(scope), event.get("index"))
        type = event.get("type")
        if type == "message_start":
            self._message[scope] = str(_dict(event.get("message")).get("id"))
        elif type == "content_block_start":
            return self._begin(key, _dict(event.get("content_block")), scope)
        elif type == "content_block_delta":
            return self._delta(key, _dict(event.get("delta")))
        elif type == "content_block_stop" and key in self._open and key not in self._running:
            return self._end(key)
        return ()

    def _begin(self, key: tuple[str | None, Any], block: dict[str, Any], scope: str | None) -> Iterator[Step]:
        kind = block.get("type")
        if kind not in _TYPES or key in self._open:
            return
        self._streamed.setdefault(str(key[0]), []).append((key, kind))
        data = self._called(key, block.get("id"), block.get("name")) if kind == "tool_use" else {}
        yield from self._opened(key, kind, {"message_id": key[0], **data}, scope)
        if text := block.get(kind):
            yield Grow(key, str(text))

    def _opened(self, key: Key, kind: str, data: dict[str, Any], scope: str | None) -> Iterator[Step]:
        self._open[key] = _Open(data)
        if kind == "text" and scope is None:
            self._answer = key
        yield Begin(key, _TYPES[kind], role="assistant", data={**data}, **self._place(scope))

    def _delta(self, key: Key, delta: dict[str, Any]) -> Iterator[Step]:
        if key not in self._open:
            return
        if delta.get("type") == "signature_delta":
            self._open[key].data["signature"] = delta.get("signature")
        elif text := delta.get(_DELTAS.get(str(delta.get("type")), "")):
            self._open[key].grown = True
            yield Grow(key, str(text))

    def _end(self, key: Key) -> Iterator[Step]:
        """Arguments stay as they were written; who does not stream them says them at the end."""
        ended = self._open.pop(key)
        self._running.discard(key)
        yield Finish(key, text=ended.text, data=ended.data)

    def finish(self) -> Iterable[Step]:
        """What is open when the stream is over: calls that nobody answered."""
        return [step for key in [*self._open] for step in self._end(key)]

    def _assistant(self, message: Lenient) -> Iterator[Step]:
        self.complete = False
        scope = message.parent_tool_use_id
        about = known(message_id=message.message_id, model=message.model, uuid=message.uuid, error=message.error)
        for block in each(message.content):
            kind = _CLASSES.get(block.kind)
            if kind is None:
                yield from self._other(block, scope)
            else:
                yield from self._said(block, kind, {**about, **known(signature=block.signature)}, scope)

    def _said(self, block: Lenient, kind: str, data: dict[str, Any], scope: str | None) -> Iterator[Step]:
        """A content block, whole: of one that is open it is the end, of a call the end of its arguments."""
        key = self._next_streamed(str(data.get("message_id")), kind)
        if key is None:
            self._count += 1
            key = ("whole", self._count)
            called = self._called(key, block.id, block.name) if kind == "tool_use" else {}
            yield from self._opened(key, kind, {**data, **called}, scope)
        if key not in self._open:
            return
        begun = self._open[key]
        begun.data |= data
        if kind != "tool_use":
            begun.text = str(getattr(block, kind) or "")
            yield from self._end(key)
            return
        if not begun.grown:
            yield Grow(key, json.dumps(as_json(block.input), ensure_ascii=False))
        if isinstance(block.id, str):
            self._agents[block.id] = str(_dict(block.input).get("subagent_type") or "")

    def _next_streamed(self, message_id: str, kind: str) -> Key | None:
        """The block that was streamed of the content that comes whole now: the first of its kind not said yet."""
        streamed = self._streamed.get(message_id, [])
        found = next((place for place, (_, type) in enumerate(streamed) if type == kind), None)
        return None if found is None else streamed.pop(found)[0]

    def _called(self, key: Key, id: Any, name: Any) -> dict[str, Any]:
        if isinstance(id, str):
            self._calls[id], self._names[id] = key, str(name)
        self._running.add(key)
        return {"name": name, "call_id": id}

    def _place(self, scope: str | None) -> dict[str, Any]:
        """Where a block belongs: below the call that asked a subagent, or to the conversation itself."""
        if scope is None:
            return {}
        return {"internal": True, "parent": self._calls.get(scope), "author": self._agents.get(scope) or "subagent"}

    def _user(self, message: Lenient) -> Iterator[Step]:
        self.complete = False
        scope, content = message.parent_tool_use_id, message.content
        texts = [content] if isinstance(content, str) else []
        for block in each(content):
            if block.kind == "ToolResultBlock":
                yield from self._result(block, scope)
            elif block.kind == "TextBlock":
                texts.append(str(block.text))
        text = "\n".join(texts)
        if text and scope is None and text == self._prompt:
            self._prompt = None
        elif text:
            place = {**self._place(scope), "author": None}
            yield Put(role="user", text=text, data=known(uuid=message.uuid), **place)

    def _result(self, block: Lenient, scope: str | None) -> Iterator[Step]:
        id, content = block.tool_use_id, block.content
        if (call := self._calls.get(id)) in self._running:
            yield from self._end(call)
        pieces = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
        text = content if isinstance(content, str) else "\n".join(str(one["text"]) for one in pieces if one.get("text"))
        data = {"call_id": id, "name": self._names.get(id), "is_error": block.is_error is True}
        parts = [part for one in pieces if (part := picture(one)) is not None]
        place = {**self._place(scope), "parent": call}
        yield Put("function_result", role="tool", text=text, data=data, parts=parts, **place)

    def _other(self, block: Lenient, scope: str | None) -> Iterator[Step]:
        """What a tool of the server did, and what a newer SDK has."""
        data = {"content": block.kind, **as_json(getattr(block.it, "__dict__", {}))}
        yield Put("status", text=str(block.name or block.kind), data=data, **self._place(scope))

    def _system(self, message: Lenient) -> Iterator[Step]:
        data = {name: value for name, value in message.data.items() if name not in ("type", "uuid")}
        text = next((value for name in ("description", "summary") if isinstance(value := data.get(name), str)), "")
        parent = self._calls.get(str(data.get("tool_use_id")))
        yield Put("status", text=text or message.subtype, data=as_json(data), internal=True, parent=parent)

    def _over(self, message: Lenient) -> Iterator[Step]:
        self.complete = True
        if self._answer is None and message.result and not message.is_error:
            yield from self._said(Lenient(_Text(message.result)), "text", {}, None)
        if self._answer is not None and not message.is_error:
            yield Mark(self._answer, [FINAL])
        self._answer = None
        told = ("subtype", "num_turns", "duration_ms", "stop_reason", "terminal_reason", "session_id", "uuid")
        data = known(**{name: getattr(message, name) for name in (*told, "structured_output", "permission_denials")})
        yield Put("status", text=str(message.subtype), data={"result": data}, internal=True)
        cost = known(total_cost_usd=message.total_cost_usd, model_usage=message.model_usage)
        yield Spend({**_dict(as_json(message.usage)), **cost})
        if message.is_error:
            reasons = [str(one) for one in message.errors or ()] or [str(message.result or "")]
            self.error = ": ".join(filter(None, [str(message.subtype), "; ".join(reasons)]))


@dataclass(slots=True)
class _Open:
    """A block that is being written: its data so far, and its text where that was said whole."""

    data: dict[str, Any]
    text: str | None = None
    grown: bool = False


class _Text:
    """The text of a result that no message said."""

    def __init__(self, text: str) -> None:
        self.text = text


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_READ: Final[dict[str, Callable[[ClaudeScript, Lenient], Iterable[Step]]]] = {
    "StreamEvent": ClaudeScript._stream,
    "AssistantMessage": ClaudeScript._assistant,
    "UserMessage": ClaudeScript._user,
    "ResultMessage": ClaudeScript._over,
}
