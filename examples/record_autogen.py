"""A team of AutoGen, recorded while it works. Needs no model and no network:

    pip install 'chatstore[autogen]' && python examples/record_autogen.py

The person sees the writer alone; what the researcher does is internal. What the team remembers is kept in the history
too, so that the second turn could be answered by another process.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

from chatstore import AsyncChatStore, Block
from chatstore.recorders.autogen import load_state, record, save_state

logging.getLogger("autogen_core.events").setLevel(logging.ERROR)  # the stand-in for a model warns of what it is


async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def client(*answers: Any) -> ReplayChatCompletionClient:
    """Stands for a model, and says what is given; in its place goes any model client of AutoGen."""
    info = ModelInfo(
        vision=False, function_calling=True, json_output=True, family=ModelFamily.UNKNOWN, structured_output=False
    )
    return ReplayChatCompletionClient([*answers], model_info=info)


def make_team(turn: int) -> RoundRobinGroupChat:
    """One that adds, and one that writes the answer."""
    wish = CreateResult(
        finish_reason="function_calls",
        content=[FunctionCall(id="call_1", name="add", arguments=f'{{"a": {turn}, "b": 3}}')],
        usage=RequestUsage(prompt_tokens=9, completion_tokens=4),
        cached=False,
        thought="I have to add",
    )
    researcher = AssistantAgent(
        "researcher",
        client(wish, f"the sum is {turn + 3}"),
        tools=[add],
        reflect_on_tool_use=True,
        model_client_stream=True,
    )
    writer = AssistantAgent("writer", client(f"The answer is {turn + 3}. DONE"), model_client_stream=True)
    until = TextMentionTermination("DONE") | MaxMessageTermination(10)
    return RoundRobinGroupChat([researcher, writer], termination_condition=until)


def show(block: Block) -> None:
    """One block in a line."""
    marks = [f"{tag.kind}/{tag.name}" for tag in block.tags] + ["internal"] * block.internal
    print(f"{block.index:3} {block.type:16} {block.author or '':20} {block.text!r} {' '.join(marks)}")


async def main(path: str = "chat.db") -> None:
    """Runs two turns, each with a team made anew, and prints what is stored of them."""
    async with AsyncChatStore(path) as store:
        history = store.history("sums")
        for turn in (1, 2):
            team = make_team(turn)
            print("turn", turn, "goes on" if await load_state(team, history) else "begins")
            stream = team.run_stream(task=f"Add {turn} and 3")
            async for _ in record(stream, history, shown=["writer"], streamed=["writer"]):
                pass  # the events of AutoGen, as if nobody recorded them
            await save_state(team, history)
        for block in await history.get_messages():
            show(block)
        print("the person sees:", [block.text for block in await history.get_messages(kind="transcript")])
        print("the runs are", [run.state for run in await history.runs()])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
