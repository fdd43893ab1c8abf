"""States of teams and agents that AutoGen saved, as `chatstore import` reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import MultiModalMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall, Image
from autogen_core.models import CreateResult, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from PIL import Image as Picture
from typer.testing import Result

from chatstore import ChatStore

Import = Callable[..., Result]

MODEL: Any = {"function_calling": True, "vision": True, "json_output": True, "family": "unknown"}
CALL = CreateResult(
    finish_reason="function_calls",
    content=[FunctionCall(id="c1", arguments='{"a":2,"b":3}', name="add")],
    usage=RequestUsage(prompt_tokens=3, completion_tokens=4),
    cached=False,
    thought="let me add",
)


async def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def agent(name: str, *answers: Any, **options: Any) -> AssistantAgent:
    client = ReplayChatCompletionClient([*answers], model_info={**MODEL, "structured_output": False})
    return AssistantAgent(name, client, **options)


def team() -> RoundRobinGroupChat:
    researcher = agent("researcher", CALL, "It is five.", tools=[add], reflect_on_tool_use=True)
    return RoundRobinGroupChat(
        [researcher, agent("writer", "APPROVE")], termination_condition=TextMentionTermination("APPROVE")
    )


def saved(path: Path, state: Any) -> Path:
    path.write_text(json.dumps(state))
    return path


def test_the_thread_of_a_team_is_the_transcript(store: ChatStore, importing: Import, tmp_path: Path) -> None:
    async def run() -> Any:
        ours = team()
        await ours.run(task="Add 2 and 3")
        return await ours.save_state()

    state = asyncio.run(run())
    result = importing(saved(tmp_path / "adding.json", state))
    assert (result.exit_code, result.stderr) == (0, "")
    history = store.history("adding")
    said = [(block.author, block.role, block.text) for block in history.get_messages(kind="transcript")]
    assert said == [
        ("user", "user", "Add 2 and 3"),
        ("researcher", "assistant", "It is five."),
        ("writer", "assistant", "APPROVE"),
    ]
    blocks = history.get_messages(kind="trace")
    assert [block.type for block in blocks if not block.internal] == [
        "message",
        "reasoning",
        "function_call",
        "function_result",
        "message",
        "message",
    ]
    thread = state["agent_states"]["RoundRobinGroupChatManager"]["message_thread"]
    assert [block.data["item"] for block in blocks if not block.internal] == thread
    assert [block for block in blocks if block.internal and block.type != "status"] == []
    assert blocks[2].usage == {"prompt_tokens": 3, "completion_tokens": 4}
    assert blocks[3].parent_id == blocks[2].id


def test_what_an_agent_alone_remembers_is_what_was_said(store: ChatStore, importing: Import, tmp_path: Path) -> None:
    async def run() -> Any:
        alone = agent("alone", "Hello, Ann.")
        await alone.run(task="I am Ann")
        return await alone.save_state()

    importing(saved(tmp_path / "alone.json", asyncio.run(run())))
    said = [(block.role, block.text) for block in store.history("alone").get_messages(kind="transcript")]
    assert said == [("user", "I am Ann"), ("assistant", "Hello, Ann.")]


def test_what_only_an_agent_remembers_is_internal(store: ChatStore, importing: Import, tmp_path: Path) -> None:
    async def run() -> Any:
        inner = RoundRobinGroupChat([agent("inside", "among us")], termination_condition=MaxMessageTermination(2))
        client = ReplayChatCompletionClient(["to the person"], model_info={**MODEL, "structured_output": False})
        outer = RoundRobinGroupChat(
            [SocietyOfMindAgent("society", inner, client)], termination_condition=MaxMessageTermination(2)
        )
        await outer.run(task="Talk")
        return await outer.save_state()

    state = asyncio.run(run())
    state["agent_states"]["society"]["agent_state"]["llm_context"] = {
        "messages": [{"type": "UserMessage", "source": "user", "content": text} for text in ("Talk", "a secret")]
    }
    importing(saved(tmp_path / "society.json", state))
    history = store.history("society")
    said = [block.text for block in history.get_messages(kind="transcript")]
    assert said == ["Talk", "to the person"]
    assert "a secret" in [block.text for block in history.get_messages(kind="trace") if block.internal]


def test_a_state_that_was_saved_later_goes_on(store: ChatStore, importing: Import, tmp_path: Path) -> None:
    async def run() -> list[Any]:
        chat = RoundRobinGroupChat([agent("a", "one", "two")], termination_condition=MaxMessageTermination(2))
        states = []
        for _ in range(2):
            await chat.run(task=[MultiModalMessage(content=["See", Image(Picture.new("RGB", (1, 1)))], source="user")])
            states.append(await chat.save_state())
        return states

    first, second = asyncio.run(run())
    importing(saved(tmp_path / "chat.json", first))
    result = importing(saved(tmp_path / "chat.json", second))
    assert result.exit_code == 0
    blocks = store.history("chat").get_messages(kind="transcript")
    assert [block.text for block in blocks] == ["See", "one", "See", "two"]
    assert [len(block.parts) for block in blocks] == [1, 0, 1, 0]
    head = store.history("chat").head()
    importing(tmp_path / "chat.json")
    assert store.history("chat").head() == head
