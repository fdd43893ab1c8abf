"""Events of Anthropic's Messages streams, raw and of the stream helper.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming; what else is here was seen with anthropic 2.10.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Final, TypeVar, Unpack, overload

from chatstore.async_history import AsyncHistory
from chatstore.history import History
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Put, Script, Spend, Step
from chatstore.recorders.machine.start import start
from chatstore.recorders.shared.provider_events import known, member, plain, stopped

E = TypeVar("E")

_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_CALLS: Final = frozenset({"tool_use", "mcp_tool_use"})


@overload
def record(source: Iterable[E], history: History, **options: Unpack[RecordOptions]) -> Recording[E]: ...
@overload
def record(source: AsyncIterable[E], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[E]: ...
def record(source: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records a message: `create(stream=True)`, or the stream inside `with client.messages.stream()`.

    As `chatstore.recorders.record`, also for events of other packages that look like Anthropic's.
    """
    return start(MessageScript(), source, history, options)


class MessageScript(Script[Any]):
    """One block for each content block: text, thinking with its signature, a call, and what tools of the server did.

    `message_stop` ends the stream. The helper's own events say once more what the raw ones between them say, and are
    passed by.
    """

    extra = "anthropic"

    def __init__(self) -> None:
        super().__init__()
        self._source: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._begun: dict[Any, dict[str, Any]] = {}
        self._open_now: set[Any] = set()
        self._grown: set[Any] = set()
        self._called: dict[Any, Key] = {}
        self._last: Key | None = None

    def read(self, event: Any) -> Iterable[Step]:
        """One event, by its type: the class of one that the package does not know is that of another."""
        read = _READ.get(member(event, "type"))
        return () if read is None else read(self, event)

    def _message(self, event: Any) -> Iterator[Step]:
        message = member(event, "message")
        self._source = known(model=member(message, "model"), message_id=member(message, "id"))
        yield from self._spent(message)

    def _begin(self, event: Any) -> Iterator[Step]:
        key, block = member(event, "index"), member(event, "content_block")
        type = member(block, "type") or ""
        if type == "text":
            if text := member(block, "text"):
                yield from self._grow(key, text)
        elif type == "thinking":
            yield from self._open(key, "reasoning", known(signature=member(block, "signature") or None))
            if thought := member(block, "thinking"):
                yield from self._grow(key, thought)
        elif type == "redacted_thinking":
            self._last = key
            data = {**self._source, "redacted_thinking": member(block, "data")}
            yield Put("reasoning", role="assistant", key=key, data=data)
        elif type in _CALLS or type == "server_tool_use":
            yield from self._call(key, type, block)
        elif type.endswith("_tool_result"):
            yield from self._result(key, type, block)

    def _call(self, key: Key, type: str, block: Any) -> Iterator[Step]:
        """A call that whoever asked is to answer, or one that the server makes and answers itself: a status."""
        id, name = member(block, "id"), member(block, "name")
        self._called[id] = key
        if type in _CALLS:
            server = known(server=member(block, "server_name"))
            yield from self._open(key, "function_call", {"name": name, "call_id": id, **server}, member(block, "input"))
        else:
            yield from self._open(key, "status", {"tool": name, "call_id": id}, member(block, "input"))

    def _result(self, key: Key, type: str, block: Any) -> Iterator[Step]:
        id, content = member(block, "tool_use_id"), plain(member(block, "content"))
        parent = self._called.get(id)
        if type == "mcp_tool_result":
            text = "\n".join(str(one.get("text", "")) for one in content) if isinstance(content, list) else str(content)
            failed = bool(member(block, "is_error"))
            name = self._begun.get(parent, {}).get("name")
            data = {"call_id": id, "name": name, "is_error": failed}
            yield Put("function_result", role="tool", text=text, key=key, data=data, parent=parent)
        else:
            data = {**self._source, "tool": type.removesuffix("_tool_result"), "call_id": id, "content": content}
            yield Put("status", role="assistant", key=key, data=data, parent=parent)

    def _delta(self, event: Any) -> Iterable[Step]:
        key, delta = member(event, "index"), member(event, "delta")
        type = member(delta, "type")
        if (field := _TEXTS.get(type)) is not None:
            text = member(delta, field)
            return self._grow(key, text) if text else ()
        if key in self._begun and type == "signature_delta":
            self._begun[key]["signature"] = member(delta, "signature")
        elif key in self._begun and type == "citations_delta":
            self._begun[key].setdefault("citations", []).append(plain(member(delta, "citation")))
        return ()

    def _open(self, key: Key, type: str, data: dict[str, Any], given: Any = None) -> Iterator[Step]:
        self._last = key
        self._open_now.add(key)
        self._grown.discard(key)
        self._begun[key] = {**({} if type == "function_call" else self._source), **data}
        if given is not None:
            self._begun[key]["input"] = plain(given)
        yield Begin(key, type, role="assistant", data=_shown(self._begun[key]))

    def _grow(self, key: Key, text: str) -> Iterator[Step]:
        if key not in self._open_now:
            yield from self._open(key, "message", {})
        self._grown.add(key)
        yield Grow(key, text)

    def _end(self, event: Any) -> Iterator[Step]:
        """A call without arguments streams none of them: then its input is what it began with."""
        key = member(event, "index")
        if key in self._open_now:
            self._open_now.remove(key)
            data = self._begun[key]
            given = None if key in self._grown or "input" not in data else json.dumps(data["input"])
            yield Finish(key, text=given, data=_shown(data))

    def _spent(self, event: Any) -> Iterator[Step]:
        """Counts are of the whole message so far: what is left out stays as it was."""
        if usage := member(event, "usage"):
            self._usage |= plain(usage)
            yield Spend({**self._usage})

    def _stop(self, event: Any) -> Iterator[Step]:
        yield from self._spent(event)
        delta = member(event, "delta")
        if reason := member(delta, "stop_reason"):
            yield from stopped(self._last, reason, member(delta, "stop_details"))

    def _over(self, _: Any) -> Iterable[Step]:
        self.complete = True
        return ()


def _shown(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "input"}


_READ: Final[dict[Any, Callable[[MessageScript, Any], Iterable[Step]]]] = {
    "message_start": MessageScript._message,
    "content_block_start": MessageScript._begin,
    "content_block_delta": MessageScript._delta,
    "content_block_stop": MessageScript._end,
    "message_delta": MessageScript._stop,
    "message_stop": MessageScript._over,
}
