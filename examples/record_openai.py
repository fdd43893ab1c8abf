"""An agent on OpenAI's client, recorded: a call, its result, the answer; once by chat completions, once by Responses.

    python examples/record_openai.py [STORE]

A scripted server answers, so it runs without a key. Take `base_url` out for the real one; nothing else changes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from openai import OpenAI
from scripted_provider import provider

from chatstore import ChatStore, History, to_openai
from chatstore.recorders import record

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> str:
    return f"18 °C in {city}"


def agent(client: OpenAI, history: History, prompt: str) -> None:
    """Asks until the model calls nothing more. Every token, call and result is stored as it comes."""
    history.append_user_message(prompt)
    while True:
        messages: Any = to_openai(history.get_messages(kind="prompt"))
        stream = client.chat.completions.create(
            model="gpt-5",
            messages=messages,
            tools=[TOOL],
            stream=True,
            stream_options={"include_usage": True},
        )
        recording = record(stream, history, author="weather-agent")
        for chunk in recording:
            if chunk.choices and chunk.choices[0].delta.content:
                print(chunk.choices[0].delta.content, end="", flush=True)
        calls = history.get_messages(types=["function_call"], run=recording.run_id)
        if not calls:
            print()
            return
        for call in calls:
            history.append_function_result(get_weather(**call.data["arguments"]), call=call)


def main(path: str) -> None:
    with provider(*CHAT, RESPONSE) as url, ChatStore(path) as store:
        client = OpenAI(base_url=f"{url}/v1", api_key="none")
        history = store.history("openai")
        agent(client, history, "What is the weather in Paris?")
        events = client.responses.create(model="gpt-5", input="And tomorrow?", stream=True)
        for _ in record(events, history, prompt="And tomorrow?"):
            pass
        show(history)
        client.close()


def show(history: History) -> None:
    """What was stored."""
    for block in history.get_messages(kind="trace"):
        print(f"{block.index:>2}  {block.type:<16} {block.role or '-':<10} {block.state:<8} {block.text}")
    for run in history.runs():
        print(f"run {run.state}, {json.dumps(run.usage)}")


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5",
        "choices": choices,
        **more,
    }


def call(arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": "get_weather"} if more else {}
    return chunk({"tool_calls": [{"index": 0, **more, "function": {"arguments": arguments, **name}}]})


USAGE = chunk(None, usage={"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29})
CHAT = (
    [call("", id="call_1", type="function"), call('{"city":'), call(' "Paris"}'), chunk({}, "tool_calls"), USAGE],
    [*(chunk({"content": word}) for word in ("It ", "has ", "18 °C ", "in ", "Paris.")), chunk({}, "stop"), USAGE],
)


def response(**more: Any) -> dict[str, Any]:
    fixed = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "tools": [], "metadata": {}}
    return {**fixed, "output": [], "parallel_tool_calls": True, "tool_choice": "auto", **more}


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
PLACE = {"output_index": 0, "item_id": "msg_1", "content_index": 0, "logprobs": []}
WHOLE = {**MESSAGE, "content": [{"type": "output_text", "text": "Rain, 12 °C.", "annotations": []}]}
TOKENS = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": response(status="in_progress")},
    {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE},
    {"type": "response.output_text.delta", "delta": "Rain, ", **PLACE},
    {"type": "response.output_text.delta", "delta": "12 °C.", **PLACE},
    {"type": "response.output_item.done", "output_index": 0, "item": WHOLE},
    {"type": "response.completed", "response": response(output=[WHOLE], usage={**TOKENS, **DETAILS})},
]
RESPONSE = [{**event, "sequence_number": number} for number, event in enumerate(EVENTS)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1] if len(sys.argv) > 1 else str(Path(directory) / "chat.db"))
