"""A run goes on while nobody reads: what is stored does not depend on when its recording begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from agents import Runner, SQLiteSession, function_tool
from scripted_agents import add, adder, agent, call, message, run

from chatstore import AsyncChatStore, AsyncHistory, InvalidInput
from chatstore.recorders import record as record_any
from chatstore.recorders.openai_agents import ChatStoreSession, record

DEADLINE = 30
SAID = [
    ("message", "Add 2 and 3"),
    ("reasoning", "I have to add"),
    ("function_call", '{"a": 2, "b": 3}'),
    ("function_result", "5"),
    ("message", "The sum is 5"),
]
FAR: dict[str, Callable[[Any], bool]] = {
    "its input is prepared": lambda result: result._original_input_for_persistence is not None,
    "a turn is over": lambda result: bool(result.new_items),
    "an answer is there": lambda result: bool(result.raw_responses),
    "it is over": lambda result: result.run_loop_task.done(),
}


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history("chat")


async def until(far: Callable[[Any], bool], result: Any) -> None:
    """Waits until a run is so far."""
    async with asyncio.timeout(DEADLINE):
        while not far(result):
            await asyncio.sleep(0)


async def read(source: Any, into: Any, **options: Any) -> None:
    """Records all of it."""
    async for _ in record(source, into, strict=True, **options):
        pass


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("where", ["before record", "before the loop"])
@pytest.mark.parametrize("memory", ["none", "session", "other"])
async def test_it_does_not_matter_when_it_begins(history: AsyncHistory, far: str, where: str, memory: str) -> None:
    session = ChatStoreSession(history) if memory == "session" else None
    other = SQLiteSession("other") if memory == "other" else None
    result = run(adder(), session=session or other)
    if where == "before record":
        await until(FAR[far], result)
    recording = record(result, history, strict=True)
    if where == "before the loop":
        await until(FAR[far], result)
    async for _ in recording:
        pass
    blocks = [block for block in await history.get_messages() if not block.type.startswith("session_")]
    assert [(block.type, block.text) for block in blocks] == SAID
    assert (blocks[0].role, blocks[3].parent_id) == ("user", blocks[2].id)
    assert [tag.name for tag in blocks[4].tags] == ["final"]
    [done] = await history.runs()
    assert (done.state, done.usage["requests"], done.usage["total_tokens"]) == ("completed", 2, 28)
    if session is not None:
        assert len(await session.get_items()) == 5
    if other is not None:
        other.close()


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("with_session", [True, False])
async def test_a_run_that_goes_on_from_another_is_known_however_late(
    history: AsyncHistory, far: str, with_session: bool
) -> None:
    @function_tool(needs_approval=True)
    async def danger() -> str:
        return "done it"

    session = ChatStoreSession(history) if with_session else None
    made = agent("a", [call("danger", "{}", "d1")], [message("finished")], tools=[danger])
    first = run(made, session=session)
    await read(first, history)
    state = first.to_state()
    state.approve(first.interruptions[0])
    second = run(made, state, session=session)
    await until(FAR[far], second)
    await read(second, history)
    blocks = [block for block in await history.get_messages() if not block.type.startswith("session_")]
    assert [(block.type, block.text) for block in blocks] == [
        ("message", "Add 2 and 3"),
        ("function_call", "{}"),
        ("approval_request", "danger"),
        ("function_result", "done it"),
        ("message", "finished"),
    ]
    assert [block.parent_id for block in blocks[2:4]] == [blocks[1].id] * 2
    assert [one.usage["total_tokens"] for one in await history.runs()] == [14, 14]


@pytest.mark.parametrize("far", FAR)
async def test_a_conversation_that_a_server_keeps(history: AsyncHistory, far: str) -> None:
    result = run(adder(), conversation_id="conv_1")
    await until(FAR[far], result)
    await read(result, history)
    assert [(block.type, block.text) for block in await history.get_messages()] == SAID


@pytest.mark.parametrize("far", FAR)
async def test_only_what_is_new_of_a_conversation_is_stored(history: AsyncHistory, far: str) -> None:
    session = SQLiteSession("other")
    await session.add_items([{"role": "user", "content": "nobody answered"}])
    result = run(adder(), session=session)
    await until(FAR[far], result)
    await read(result, history)
    assert [(block.type, block.text) for block in await history.get_messages()] == SAID
    session.close()


async def test_a_prompt_that_the_session_has_stored_is_stored_once(history: AsyncHistory) -> None:
    session = ChatStoreSession(history)
    result = run(adder(), session=session)
    await until(FAR["a turn is over"], result)
    await read(result, session, prompt="Add 2 and 3")
    assert [block.text for block in await history.get_messages(roles=["user"])] == ["Add 2 and 3"]


async def test_runs_of_one_context_are_told_apart(history: AsyncHistory) -> None:
    """The session was given the same words by a run that nobody recorded."""
    session = ChatStoreSession(history)
    shared = run(agent("a", [message("one")]), "Hi", session=session)
    async for _ in shared.stream_events():
        pass
    again = run(agent("a", [message("two")]), "Hi", session=session, context=shared.context_wrapper)
    await read(again, session)
    texts = [block.text for block in await history.get_messages(kind="transcript")]
    assert texts == ["Hi", "one", "Hi", "two"]


async def test_an_event_without_data_is_passed_by(history: AsyncHistory) -> None:
    async def source() -> Any:
        yield SimpleNamespace(type="raw_response_event")
        yield SimpleNamespace(type="raw_response_event", data=None)
        yield SimpleNamespace(type="run_item_stream_event")
        yield SimpleNamespace(type="agent_updated_stream_event")
        async for event in run(adder()).stream_events():
            yield event

    await read(source(), history)
    assert [one.state for one in await history.runs()] == ["completed"]
    assert [block.text for block in await history.get_messages(types=["message"])] == ["The sum is 5"]


@pytest.mark.parametrize("made", [record, record_any])
async def test_a_run_without_events_is_told_what_is_recorded(history: AsyncHistory, made: Any) -> None:
    whole = await Runner.run(agent("a", [call("add", '{"a": 1, "b": 1}')], [message("2")], tools=[add]), "Go")
    with pytest.raises(InvalidInput, match="run_streamed"):
        made(whole, history)
