"""An agent on Anthropic's client, recorded in an event loop: thinking, a call, its result, and the answer.

    python examples/record_anthropic.py [STORE]

A scripted server answers, so it runs without a key. Take `base_url` out for the real one; nothing else changes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from anthropic import AsyncAnthropic
from scripted_provider import provider

from chatstore import AsyncChatStore, AsyncHistory, to_anthropic
from chatstore.recorders import record

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def get_weather(city: str) -> str:
    return f"18 °C in {city}"


async def agent(client: AsyncAnthropic, history: AsyncHistory, prompt: str) -> None:
    """Asks until the model calls nothing more. The thoughts before a call go back with it: blocks of kind trace."""
    await history.append_user_message(prompt)
    while True:
        said: Any = to_anthropic(await history.get_messages(kind="trace"))
        async with client.messages.stream(model="claude-sonnet-5", max_tokens=500, tools=[TOOL], **said) as stream:
            recording = record(stream, history, author="weather-agent")
            async for event in recording:
                if event.type == "text":
                    print(event.text, end="", flush=True)
        calls = await history.get_messages(types=["function_call"], run=recording.run_id)
        if not calls:
            print()
            return
        for call in calls:
            await history.append_function_result(get_weather(**call.data["arguments"]), call=call)


async def main(path: str) -> None:
    with provider(*STREAMS) as url:
        async with AsyncAnthropic(base_url=url, api_key="none") as client, AsyncChatStore(path) as store:
            history = store.history("anthropic")
            await agent(client, history, "What is the weather in Paris?")
            await show(history)


async def show(history: AsyncHistory) -> None:
    """What was stored."""
    for block in await history.get_messages(kind="trace"):
        print(f"{block.index:>2}  {block.type:<16} {block.role or '-':<10} {block.state:<8} {block.text}")
    for run in await history.runs():
        print(f"run {run.state}, {json.dumps(run.usage)}")


def content(index: int, block: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def message(reason: str, tokens: int, *contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    fixed = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "content": []}
    usage = {"input_tokens": 20, "output_tokens": 1}
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_start", "message": {**fixed, "stop_reason": None, "stop_sequence": None, "usage": usage}},
        *(event for one in contents for event in one),
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens}},
        {"type": "message_stop"},
    ]


def text(index: int, *words: str) -> list[dict[str, Any]]:
    return content(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": word} for word in words))


STREAMS = (
    message(
        "tool_use",
        30,
        content(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "The tool knows."},
            {"type": "signature_delta", "signature": "c2lnbmVk"},
        ),
        content(
            1,
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"city":'},
            {"type": "input_json_delta", "partial_json": ' "Paris"}'},
        ),
    ),
    message("end_turn", 8, text(0, "It ", "has ", "18 °C ", "in ", "Paris.")),
)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else str(Path(directory) / "chat.db")))
