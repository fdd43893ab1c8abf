"""An agent of OpenAI's Agents SDK, recorded while it works, with its memory in the same history.

    pip install 'chatstore[openai-agents]' && python examples/record_openai_agents.py [STORE]

A scripted server answers, so it runs without a key. In the second turn the person stops it: what it had said is kept,
and in the third it goes on from what it remembers.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from scripted_provider import provider

from chatstore import AsyncChatStore
from chatstore.recorders.openai_agents import ChatStoreSession, record

set_tracing_disabled(True)  # it would send traces to OpenAI


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"18 °C in {city}"


async def turn(agent: Agent, session: ChatStoreSession, prompt: str, stop_at: str | None = None) -> None:
    """One turn; what comes out of `record` are the events of the package, as if nobody recorded them."""
    result = Runner.run_streamed(agent, prompt, session=session)
    async for event in record(result, session):
        text = getattr(event.data, "delta", "") if event.type == "raw_response_event" else ""
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            print(text, end="", flush=True)
        if stop_at is not None and text == stop_at:
            result.cancel()
    print()


async def main(path: str) -> None:
    """Three turns, and what is stored of them."""
    with provider(*ANSWERS) as url:
        async with AsyncChatStore(path) as store, AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            model = OpenAIChatCompletionsModel("gpt-5", client)
            agent = Agent(name="weather-agent", model=model, tools=[get_weather])
            session = ChatStoreSession(store.history("support-42"))
            await turn(agent, session, "What is the weather in Paris?")
            await turn(agent, session, "Write a poem about it", stop_at="sky ")
            await turn(agent, session, "Thank you")
            for block in await session.history.get_messages():
                print(f"{block.index:>2}  {block.type:<15} {block.author or '-':<14} {block.state:<10} {block.text}")
            print("the agent remembers", len(await session.get_items()), "items")
            print("the runs are", [run.state for run in await session.history.runs()])


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def says(*words: str) -> list[dict[str, Any]]:
    return [*(chunk({"content": word}) for word in words), chunk({}, "stop")]


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
REST = {"index": 0, "function": {"arguments": '{"city": "Paris"}'}}
ANSWERS = (
    [chunk({"tool_calls": [CALL]}), chunk({"tool_calls": [REST]}), chunk({}, "tool_calls")],
    says("It ", "has ", "18 °C ", "in ", "Paris."),
    says("Blue ", "is ", "the ", "sky ", *["and "] * 200, "so ", "on."),
    says("You ", "are ", "welcome."),
)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else str(Path(directory) / "chat.db")))
