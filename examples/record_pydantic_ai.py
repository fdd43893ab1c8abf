"""An agent of pydantic-ai, recorded while it works. Needs no model and no network:

    pip install 'chatstore[pydantic-ai]' && python examples/record_pydantic_ai.py

The second turn remembers the first by what the history kept of it, so that another process could answer it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel

from chatstore import AsyncChatStore, Block
from chatstore.recorders.pydantic_ai import Recorder, messages


async def say(conversation: list[Any], info: Any) -> AsyncIterator[Any]:
    """Stands for a model; in its place goes any model of pydantic-ai."""
    last = conversation[-1].parts[-1]
    if last.part_kind == "tool-return":
        for piece in ("The answer ", "is ", f"{last.content}."):
            yield piece
    else:
        yield {0: DeltaThinkingPart(content="I have to add")}
        yield {1: DeltaToolCall(name="add", json_args='{"a": 2, ', tool_call_id=f"call_{len(conversation)}")}
        yield {1: DeltaToolCall(json_args='"b": 3}')}


agent = Agent(FunctionModel(stream_function=say), name="helper")


@agent.tool_plain
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def show(block: Block) -> None:
    """One block in a line."""
    marks = [f"{tag.kind}/{tag.name}" for tag in block.tags] + ["internal"] * block.internal
    print(f"{block.index:3} {block.type:16} {block.author or '':10} {block.text!r} {' '.join(marks)}")


async def main(path: str = "chat.db") -> None:
    """Runs two turns, and prints what is stored of them."""
    async with AsyncChatStore(path) as store:
        history = store.history("sums")
        for question in ("Add 2 and 3", "Again"):
            remembered = await messages(history)
            print(question, "- it remembers", len(remembered), "messages")
            await agent.run(question, message_history=remembered, capabilities=[Recorder(history)])
        for block in await history.get_messages():
            show(block)
        print("the person sees:", [block.text for block in await history.get_messages(kind="transcript")])
        print("the runs are", [run.state for run in await history.runs()])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
