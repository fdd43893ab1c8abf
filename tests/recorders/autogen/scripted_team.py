"""Teams and agents of AutoGen whose models say what they were told to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

INFO = ModelInfo(
    vision=True, function_calling=True, json_output=True, family=ModelFamily.UNKNOWN, structured_output=True
)
CALL_USAGE = RequestUsage(prompt_tokens=9, completion_tokens=4)


class Client(ReplayChatCompletionClient):
    """Says texts word by word. A list is said piece by piece, and then a result of its own if that is the last of it;
    an exception in it is raised, and an event is waited for."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(list(answers), model_info=INFO)

    async def create_stream(self, messages: Any, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        answer = self.chat_completions[self._current_index] if self._current_index < len(self.chat_completions) else ""
        if not isinstance(answer, list):
            async for one in super().create_stream(messages, **options):
                yield one
            return
        self._current_index += 1
        for piece in answer:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield piece


def calls(*wanted: tuple[str, str], thought: str | None = None) -> CreateResult:
    """A model's wish for calls: names, with arguments as JSON."""
    made = [FunctionCall(id=f"c{place}", name=name, arguments=text) for place, (name, text) in enumerate(wanted)]
    return CreateResult(finish_reason="function_calls", content=made, usage=CALL_USAGE, cached=False, thought=thought)


def says(text: str, thought: str | None = None) -> CreateResult:
    """What a model said, as a whole."""
    return CreateResult(finish_reason="stop", content=text, usage=CALL_USAGE, cached=False, thought=thought)


async def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


async def boom(x: int) -> str:
    """Raises."""
    raise ValueError("boom")


async def slow(x: int) -> str:
    """Says what it is."""
    return f"slow{x}"


def agent(name: str, *answers: Any, **options: Any) -> AssistantAgent:
    """An agent whose text streams."""
    options = {"model_client_stream": True, "tools": None, **options}
    return AssistantAgent(name, Client(*answers), **options)


def researcher_and_writer(**options: Any) -> RoundRobinGroupChat:
    """One that thinks, adds and says it, and one that writes the answer."""
    researcher = agent(
        "researcher",
        calls(("add", '{"a": 2, "b": 3}'), thought="I need to add"),
        "the sum is 5",
        tools=[add],
        reflect_on_tool_use=True,
    )
    return team(researcher, agent("writer", "Final answer: five. APPROVE"), **options)


def team(*agents: Any, **options: Any) -> RoundRobinGroupChat:
    """Agents that speak in turn until one of them says APPROVE."""
    until = TextMentionTermination("APPROVE") | MaxMessageTermination(20)
    return RoundRobinGroupChat([*agents], termination_condition=until, **options)


def names(events: Sequence[Any]) -> list[str]:
    """The types of events."""
    return [type(event).__name__ for event in events]
