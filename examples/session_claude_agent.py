"""The Claude Agent SDK: its session is kept for resuming, and its answer is recorded for people who watch.

    pip install 'chatstore[claude-agent]' && python examples/session_claude_agent.py

A transport that says a script stands for Claude Code, so this needs neither a key nor the network; without
`transport=`, the SDK starts Claude Code itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, Transport, query

from chatstore import AsyncChatStore
from chatstore.recorders.claude_agent import ClaudeSessionStore, record

SESSION = "5f0b9d0c-0000-4000-8000-000000000000"
ASKED = {"type": "user", "uuid": "u1", "message": {"role": "user", "content": "What is 1 + 3?"}}
SAID = {"id": "msg_1", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": "It is 4."}]}


def piece(**event: Any) -> dict[str, Any]:
    """A part of the answer, as it is written."""
    return {"type": "stream_event", "uuid": "s", "session_id": SESSION, "event": event}


FRAMES: list[dict[str, Any]] = [
    piece(type="message_start", message={"id": "msg_1"}),
    piece(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
    piece(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "It is "}),
    piece(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "4."}),
    {"type": "assistant", "uuid": "u2", "session_id": SESSION, "message": SAID},
    {
        "type": "transcript_mirror",  # what Claude Code wrote into its own file
        "filePath": f"/config/projects/sums/{SESSION}.jsonl",
        "entries": [ASKED, {"type": "assistant", "uuid": "u2", "message": SAID}],
    },
    {
        **{"type": "result", "subtype": "success", "session_id": SESSION, "is_error": False, "num_turns": 1},
        **{"duration_ms": 2, "duration_api_ms": 1, "result": "It is 4.", "usage": {"output_tokens": 5}},
    },
]


class Scripted(Transport):
    """Stands for Claude Code."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def connect(self) -> None:
        """There is nothing to start."""

    async def write(self, data: str) -> None:
        """Answers what it is asked, and the prompt by the script."""
        told = json.loads(data)
        if told["type"] == "control_request":
            answer = {"subtype": "success", "request_id": told["request_id"], "response": {}}
            self._said.put_nowait({"type": "control_response", "response": answer})
        else:
            for frame in (*FRAMES, None):
                self._said.put_nowait(frame)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """What it says."""
        while (frame := await self._said.get()) is not None:
            yield frame

    async def close(self) -> None:
        """There is nothing to end."""

    def is_ready(self) -> bool:
        """Always."""
        return True

    async def end_input(self) -> None:
        """It does not wait for more."""


async def main(path: str = "chat.db") -> None:
    """Asks once, and prints what is stored of it."""
    async with AsyncChatStore(path) as store:
        sessions, history = ClaudeSessionStore(store), store.history("sums")
        options = ClaudeAgentOptions(session_store=sessions, env={"CLAUDE_CONFIG_DIR": "/config"})
        source = query(prompt="What is 1 + 3?", options=options, transport=Scripted())
        async for _ in record(source, history, prompt="What is 1 + 3?"):
            pass  # the messages of the SDK, as if nobody recorded them
        print("the person sees:", [block.text for block in await history.get_messages(kind="transcript")])
        print("the runs are", [run.state for run in await history.runs()])
        key = {"project_key": "sums", "session_id": SESSION}
        print("to resume from:", [entry["uuid"] for entry in await sessions.load(key) or []])
        for block in await sessions.history(key).get_messages():
            print(f"{block.index:3} {block.type:10} {block.role or '':10} {block.text!r}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
