"""What an agent remembers can be had again from its history, exactly, and is not stored twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_ai import BinaryContent
from pydantic_ai.messages import ModelMessagesTypeAdapter
from recorded import CONTEXT
from scripted_agents import adding, agent, call

from chatstore import AsyncChatStore, AsyncHistory
from chatstore.recorders.pydantic_ai import Recorder, messages, record, recording

LONG = "A sentence that is long enough to be told once and pointed at. " * 20


def dumped(found: list[Any]) -> Any:
    """Messages as pydantic-ai writes them; what it reads of bytes is of a narrower class."""
    return ModelMessagesTypeAdapter.dump_python(found, mode="json")


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history(CONTEXT)


async def test_they_are_the_very_messages(history: AsyncHistory) -> None:
    first = await adding().run(LONG, capabilities=[Recorder(history, strict=True)])
    assert await messages(history) == first.all_messages()
    remembered = await messages(history)
    second = await agent([LONG]).run("and?", message_history=remembered, capabilities=[Recorder(history, strict=True)])
    assert await messages(history) == second.all_messages()
    assert await messages(history, last=1) == second.new_messages()
    assert await messages(history, last=2) == second.all_messages()


async def test_so_are_those_of_a_handler_and_of_a_stream(async_store: AsyncChatStore) -> None:
    one, other = async_store.history("one"), async_store.history("other")
    async with recording(one, strict=True) as handler:
        result = await adding().run(LONG, event_stream_handler=handler)
    assert await messages(one) == result.all_messages()
    async with adding().run_stream_events(LONG) as events:
        async for event in record(events, other, prompt=LONG, strict=True):
            last: Any = event
    assert await messages(other) == last.result.all_messages()


async def test_text_is_stored_once(history: AsyncHistory) -> None:
    def give() -> str:
        """Gives."""
        return LONG + "result"

    def take(text: str) -> str:
        """Takes."""
        return "taken"

    calls = [*call("give", "{}"), *call("take", json.dumps({"text": LONG + "argument"}), id="call_2", at=1)]
    made = agent(calls, [LONG + "answer"], tools=[give, take])
    result = await made.run(LONG + "prompt", capabilities=[Recorder(history, strict=True)])
    assert await messages(history) == result.all_messages()
    kept = json.dumps([block.data for block in await history.get_messages(types=["model_messages"])])
    assert not any(LONG + name in kept for name in ("prompt", "result", "argument", "answer"))


async def test_bytes_are_stored_once(history: AsyncHistory) -> None:
    content = b"\x89PNG" * 4000
    picture = BinaryContent(data=content, media_type="image/png")

    def give() -> list[Any]:
        """Gives one."""
        return ["here", picture]

    recorder = Recorder(history, strict=True)
    result = await agent(call("give", "{}"), ["nice"], tools=[give]).run(["Look", picture], capabilities=[recorder])
    assert dumped(await messages(history)) == dumped(result.all_messages())
    kept = json.dumps([block.data for block in await history.get_messages(types=["model_messages"])])
    assert len(kept) < len(content)


async def test_they_are_in_no_transcript_and_no_prompt(history: AsyncHistory) -> None:
    await adding().run("Add", capabilities=[Recorder(history, strict=True)])
    for kind in ("transcript", "prompt"):
        found = await history.get_messages(kind=kind)
        assert found
        assert "model_messages" not in {block.type for block in found}


async def test_those_of_a_run_that_failed_are_there_as_far_as_it_came(history: AsyncHistory) -> None:
    made = agent(["half", ValueError("away")])
    with pytest.raises(ValueError, match="away"):
        await made.run("first", capabilities=[Recorder(history)])
    remembered = await messages(history)
    assert [message.kind for message in remembered] == ["request"]
    result = await agent(["well"]).run("second", message_history=remembered, capabilities=[Recorder(history)])
    assert result.output == "well"


async def test_an_empty_history_has_none(history: AsyncHistory) -> None:
    assert await messages(history) == []
    assert await messages(history, last=3) == []
