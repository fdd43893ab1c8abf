"""What Claude Code says on its standard output, and a transport of the SDK that says it: no program, no network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from claude_agent_sdk import Transport
from claude_agent_sdk._internal.message_parser import parse_message

SESSION = "11111111-2222-3333-4444-555555555555"
PROJECT = "-work-app"
MODEL = "claude-sonnet"


def uid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def stream(event: dict[str, Any], parent: str | None = None) -> dict[str, Any]:
    return {
        "type": "stream_event",
        "uuid": uid(json.dumps(event)),
        "session_id": SESSION,
        "event": event,
        "parent_tool_use_id": parent,
    }


def assistant(message_id: str, block: dict[str, Any], parent: str | None = None, **usage: int) -> dict[str, Any]:
    message = {"id": message_id, "type": "message", "role": "assistant", "model": MODEL, "content": [block]}
    return {
        "type": "assistant",
        "message": {**message, "stop_reason": None, "usage": usage or {"input_tokens": 7, "output_tokens": 1}},
        "parent_tool_use_id": parent,
        "session_id": SESSION,
        "uuid": uid(message_id + json.dumps(block)),
    }


def user(content: Any, parent: str | None = None) -> dict[str, Any]:
    message = {"role": "user", "content": content}
    ids = {"session_id": SESSION, "uuid": uid(json.dumps(content)), "parent_tool_use_id": parent}
    return {"type": "user", "message": message, **ids}


def begins(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return stream({"type": "content_block_start", "index": index, "content_block": block})


def delta(index: int, type: str, **fields: str) -> dict[str, Any]:
    return stream({"type": "content_block_delta", "index": index, "delta": {"type": type, **fields}})


def stops(index: int) -> dict[str, Any]:
    return stream({"type": "content_block_stop", "index": index})


def message_begins(id: str) -> dict[str, Any]:
    return stream({"type": "message_start", "message": {"id": id, "role": "assistant", "content": [], "model": MODEL}})


RESULT = {
    "type": "result",
    "subtype": "success",
    "duration_ms": 5,
    "duration_api_ms": 4,
    "is_error": False,
    "num_turns": 2,
    "session_id": SESSION,
    "total_cost_usd": 0.02,
    "usage": {"input_tokens": 20, "output_tokens": 9},
    "result": "It is 18 degrees.",
    "uuid": uid("result"),
    "terminal_reason": "completed",
}
INIT = {"type": "system", "subtype": "init", "session_id": SESSION, "model": MODEL, "tools": ["Bash"], "uuid": uid("i")}
THOUGHT = {"type": "thinking", "thinking": "I look it up.", "signature": "c2ln"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
GIVEN = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "18", "is_error": False}]

PARTIALS = [
    INIT,
    message_begins("msg_1"),
    begins(0, {"type": "thinking", "thinking": "", "signature": ""}),
    delta(0, "thinking_delta", thinking="I look "),
    delta(0, "thinking_delta", thinking="it up."),
    delta(0, "signature_delta", signature="c2ln"),
    assistant("msg_1", THOUGHT),  # Claude Code says the whole block before its stream ends
    stops(0),
    begins(1, {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}),
    delta(1, "input_json_delta", partial_json='{"city": '),
    delta(1, "input_json_delta", partial_json='"Paris"}'),
    stops(1),
    assistant("msg_1", CALL),  # and here behind it, as another version may
    stream({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}),
    stream({"type": "message_stop"}),
    user(GIVEN),
    message_begins("msg_2"),
    begins(0, {"type": "text", "text": ""}),
    delta(0, "text_delta", text="It is "),
    delta(0, "text_delta", text="18 degrees."),
    assistant("msg_2", {"type": "text", "text": "It is 18 degrees."}),
    stops(0),
    stream({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
    stream({"type": "message_stop"}),
    RESULT,
]
WHOLE = [frame for frame in PARTIALS if frame["type"] != "stream_event"]


def partials() -> list[Any]:
    """The SDK's messages of a turn that is streamed."""
    return [parse_message(frame) for frame in PARTIALS]


def whole() -> list[Any]:
    """Those of one that is not."""
    return [parse_message(frame) for frame in WHOLE]


def entry(frame: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The line of a transcript that says what a message says."""
    kept = {name: frame[name] for name in ("type", "uuid", "message") if name in frame}
    return {"parentUuid": None, "isSidechain": False, "sessionId": SESSION, "cwd": "/work/app", **kept, **fields}


def transcript() -> list[dict[str, Any]]:
    """The entries of the same turn."""
    asked = entry(user("What is the weather in Paris?"), timestamp="2026-01-02T03:04:05.678Z")
    said = [entry(frame) for frame in WHOLE if frame["type"] in ("assistant", "user")]
    for before, one in pairwise([asked, *said]):
        one["parentUuid"] = before["uuid"]
    return [asked, *said, {"type": "summary", "summary": "Weather", "leafUuid": asked["uuid"]}]


class ScriptedTransport(Transport):
    """Stands for Claude Code: answers what the SDK asks, and once it is told the prompt, says its frames.

    A frame that is an Event is waited for.
    """

    def __init__(self, frames: list[Any], config: Path | None = None) -> None:
        self._frames, self._config = frames, config
        self._out: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._saying: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()

    async def connect(self) -> None:
        """There is nothing to start."""

    async def write(self, data: str) -> None:
        for line in data.splitlines():
            told = json.loads(line)
            if told["type"] == "control_request":
                answer = {"subtype": "success", "request_id": told["request_id"], "response": {}}
                self._out.put_nowait({"type": "control_response", "response": answer})
            elif told["type"] == "user":
                self._saying = asyncio.create_task(self._say())

    async def _say(self) -> None:
        for frame in self._frames:
            if isinstance(frame, asyncio.Event):
                await frame.wait()
            elif isinstance(frame, list):
                path = f"{self._config}/projects/{PROJECT}/{SESSION}.jsonl"
                self._out.put_nowait({"type": "transcript_mirror", "filePath": path, "entries": frame})
            else:
                self._out.put_nowait(frame)
        self._out.put_nowait(None)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        while (frame := await self._out.get()) is not None:
            yield frame

    async def close(self) -> None:
        self.closed.set()
        if self._saying is not None:
            self._saying.cancel()

    def is_ready(self) -> bool:
        return True

    async def end_input(self) -> None:
        """It is not waited for."""
