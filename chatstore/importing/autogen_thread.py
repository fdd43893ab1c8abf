"""Messages and events of AutoGen as its states have them, and what its agents remember of them."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from typing import Any, Final

from chatstore.importing.contents import call, first_with, result
from chatstore.importing.values import as_text, inner, name_of, objects, text_of
from chatstore.model import JsonValue, Part
from chatstore.recorders import Put

_NOTES: Final = {
    "UserInputRequestedEvent": "input_request",
    "MemoryQueryEvent": "status",
    "SelectSpeakerEvent": "status",
    "SelectorEvent": "status",
    "HandoffMessage": "handoff",
    "CodeExecutionEvent": "code_result",
}
_PERSON: Final = "user"


def of_thread(message: dict[str, JsonValue]) -> list[Put]:
    """The blocks of a message or an event, as the recorder makes them; the message itself is with the first."""
    type = text_of(message.get("type")) or ""
    made = [*_event(message, type)] or [Put("status", text=type, internal=True)]
    source = name_of(message.get("source"))
    for put in made:
        put.author = source
        put.data = {**(put.data if isinstance(put.data, dict) else {}), "message_id": name_of(message.get("id"))}
    usage = message.get("models_usage")
    made[-1 if made[0].type == "reasoning" else 0].usage = usage if isinstance(usage, dict) and usage else None
    return first_with(made, item=message)


def of_context(message: dict[str, JsonValue], agent: str | None) -> list[Put]:
    """The blocks of a message that an agent remembers."""
    type = text_of(message.get("type")) or ""
    made = [*_remembered(message, type)] or [Put("status", text=type, internal=True)]
    for put in made:
        put.author = name_of(message.get("source")) or agent
    return first_with(made, item=message)


class Known:
    """What the thread says, so that it is not told once more from what agents remember."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._calls: set[str] = set()
        self._results: set[str] = set()

    def add(self, message: dict[str, JsonValue]) -> None:
        """Takes note of a message of the thread."""
        self._texts.update(_texts(message))
        for one in objects(message.get("content")):
            if "arguments" in one:
                self._calls.add(as_text(one.get("id")))
            elif "call_id" in one:
                self._results.add(as_text(one.get("call_id")))
        for one in objects(message.get("context")):  # what goes with a handoff
            self.add(one)

    def has(self, message: dict[str, JsonValue]) -> bool:
        """Whether the thread has all of what an agent remembers here."""
        calls = [as_text(one.get("id")) for one in objects(message.get("content")) if "arguments" in one]
        results = [as_text(one.get("call_id")) for one in objects(message.get("content")) if "call_id" in one]
        if not {*calls} <= self._calls or not {*results} <= self._results:
            return False
        texts = [*_texts(message)]
        return bool(calls or results or texts) and {*texts} <= self._texts


def _texts(message: dict[str, JsonValue]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for one in content if isinstance(content, list) else ():
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict) and isinstance(one.get("data"), str):
            yield f"picture {one['data']}"
    if thought := text_of(message.get("thought")):
        yield thought


def _event(message: dict[str, JsonValue], type: str) -> Iterator[Put]:
    content = message.get("content")
    if type == "ToolCallRequestEvent":
        yield from map(_call, objects(content))
    elif type == "ToolCallExecutionEvent":
        yield from map(_result, objects(content))
    elif type == "ThoughtEvent":
        yield Put("reasoning", "assistant", as_text(content))
    elif type in _NOTES:
        yield _note(message, type)
    elif type.endswith("Event") and type != "CodeGenerationEvent":
        yield Put("status", text=as_text(content), data={"type": type})
    else:
        text, parts = _content(content)
        role = "user" if message.get("source") == _PERSON else "assistant"
        data: dict[str, JsonValue] = {} if type == "TextMessage" else {"type": type}
        yield Put("message", role, text, parts=parts, data=data)


def _note(message: dict[str, JsonValue], type: str) -> Put:
    content: Any = message.get("content")
    if type == "CodeExecutionEvent":
        executed = inner(message, "result")
        data = {"type": type, "exit_code": executed.get("exit_code")}
        return Put(_NOTES[type], "tool", as_text(executed.get("output")), data=data)
    if type == "UserInputRequestedEvent":
        return Put(_NOTES[type], data={"request_id": message.get("request_id")})
    told = [as_text(one.get("content") if isinstance(one, dict) else one) for one in content or ()]
    text = ", ".join(told) if isinstance(content, list) else as_text(content)
    target = {"target": message["target"]} if "target" in message else {}
    return Put(_NOTES[type], text=text, data={"type": type, **target})


def _remembered(message: dict[str, JsonValue], type: str) -> Iterator[Put]:
    content = message.get("content")
    if (thought := text_of(message.get("thought"))) is not None:
        yield Put("reasoning", "assistant", thought)
    if type == "FunctionExecutionResultMessage":
        yield from map(_result, objects(content))
    elif type == "AssistantMessage" and isinstance(content, list):
        yield from map(_call, objects(content))
    else:
        roles = {"SystemMessage": "system", "AssistantMessage": "assistant"}
        text, parts = _content(content)
        yield Put("message", roles.get(type, "user"), text, parts=parts)


def _call(one: dict[str, JsonValue]) -> Put:
    return call(one.get("name"), one.get("arguments"), one.get("id"))


def _result(one: dict[str, JsonValue]) -> Put:
    return result(as_text(one.get("content")), one.get("name"), one.get("call_id"), one.get("is_error") is True)


def _content(content: JsonValue) -> tuple[str, list[Part]]:
    """Text and pictures of a message; what is structured is told as JSON."""
    if not isinstance(content, list):
        return as_text(content), []
    parts = [part for part in map(_part, content) if part is not None]
    if parts and parts[0].text is not None:
        return parts[0].text, parts[1:]
    return "", parts


def _part(one: JsonValue) -> Part | None:
    if isinstance(one, str):
        return Part(type="text", text=one)
    data = one.get("data") if isinstance(one, dict) else None
    if not isinstance(data, str):
        return None
    try:
        return Part(type="image", mime_type="image/png", content=b64decode(data, validate=True))
    except (Error, ValueError):
        return None
