"""Several recorders of one run, and several runs in one history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from recorded import CONTEXT
from scripted_agents import add, adding, agent, call

from chatstore import AsyncChatStore, AsyncHistory, ChatStore
from chatstore.errors import InvalidInput, UsageError
from chatstore.recorders.pydantic_ai import Recorder, messages, record, recording

TASK = "Add 2 and 3"


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history(CONTEXT)


async def stored(history: AsyncHistory) -> list[tuple[str, str]]:
    """What is there of one run, which is whole."""
    assert [one.state for one in await history.runs()] == ["completed"]
    return [(block.type, block.text) for block in await history.get_messages() if block.type != "model_messages"]


async def expected(store: AsyncChatStore) -> list[tuple[str, str]]:
    alone = store.history("alone")
    await adding().run(TASK, capabilities=[Recorder(alone, strict=True)])
    return await stored(alone)


async def test_a_handler_stands_aside_for_the_capability(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    async with recording(history, strict=True) as handler:
        await adding().run(TASK, capabilities=[Recorder(history, strict=True)], event_stream_handler=handler)
    assert await stored(history) == await expected(async_store)


async def test_one_capability_stands_aside_for_another(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    both = [Recorder(history, strict=True), Recorder(history, strict=True)]
    result = await adding().run(TASK, capabilities=both)
    assert await stored(history) == await expected(async_store)
    assert await messages(history) == result.all_messages()


async def test_all_of_them_write_a_run_once(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    both = [Recorder(history, strict=True), Recorder(history, strict=True)]
    async with recording(history, strict=True), adding().run_stream_events(TASK, capabilities=both) as events:
        async for _ in record(events, history, strict=True):
            pass
    assert await stored(history) == await expected(async_store)


async def test_other_histories_are_written_too(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    other = async_store.history("other")
    async with recording(other, strict=True) as handler:
        await adding().run(TASK, capabilities=[Recorder(history, strict=True)], event_stream_handler=handler)
    assert len(await stored(history)) == len(await stored(other))


async def test_what_fails_before_its_first_event_fails_once(history: AsyncHistory) -> None:
    with pytest.raises(ValueError, match="away"):
        async with recording(history) as handler:
            made = agent([ValueError("away")])
            await made.run(TASK, capabilities=[Recorder(history)], event_stream_handler=handler)
    assert [one.state for one in await history.runs()] == ["failed"]


async def test_an_agent_of_a_tool_is_written_below_the_one_that_the_capability_writes(history: AsyncHistory) -> None:
    async with recording(history, strict=True) as handler:

        async def ask() -> str:
            """Asks another one."""
            return str((await agent(["inner"]).run("what?", event_stream_handler=handler)).output)

        made = agent(call("ask", "{}"), ["outer"], tools=[ask])
        await made.run(TASK, capabilities=[Recorder(history, strict=True)], event_stream_handler=handler)
    outer, inner = await history.runs()
    assert (inner.parent_run_id, outer.state, inner.state) == (outer.id, "completed", "completed")


async def test_runs_at_the_same_time_are_remembered_one_after_the_other(history: AsyncHistory) -> None:
    met = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        """Lets both calls lie between each other."""
        await met.wait()
        return f"met {name}"

    async def talk(name: str) -> Any:
        made = agent(call("meet", f'{{"name": "{name}"}}', id="same"), [f"done {name}"], tools=[meet])
        return await made.run(name, capabilities=[Recorder(history, strict=True)])

    results = dict(zip("ab", await asyncio.gather(talk("a"), talk("b")), strict=True))
    order = [block.text for block in await history.get_messages(types=["message"], roles=["user"])]
    whole = [message for name in order for message in results[name].all_messages()]
    assert await messages(history) == whole
    assert await messages(history, last=2) == whole


@pytest.mark.parametrize("wrong", [None, "chat.db", 5])
async def test_messages_are_of_a_history(wrong: Any, async_store: AsyncChatStore, tmp_path: Path) -> None:
    for one in (wrong, async_store):
        with pytest.raises(InvalidInput, match="messages takes a history of a store"):
            await messages(one)
    with ChatStore(tmp_path / "threads.db") as threads, pytest.raises(UsageError, match="AsyncChatStore"):
        await messages(threads.history(CONTEXT))  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [lambda ctx: None, lambda ctx: 1 / 0])
async def test_a_function_that_gives_no_history_breaks_no_agent(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    made = agent(["well"], ["well"], tools=[add])
    assert (await made.run(TASK, capabilities=[Recorder(place)])).output == "well"
    assert "recording has not begun" in caplog.text
    with pytest.raises((InvalidInput, ZeroDivisionError)):
        await made.run(TASK, capabilities=[Recorder(place, strict=True)])
