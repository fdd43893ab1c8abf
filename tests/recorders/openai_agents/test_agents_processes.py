"""Runs of agents and the processes around them: who follows, who is killed, who cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded import CONTEXT, DEADLINE, Process, ended, follower
from recorder_promises import Poison
from scripted_agents import add, agent, call, growing, message, run, shapes

from chatstore import AsyncChatStore, ChatStore, RunCancelled, TextAppended
from chatstore.recorders.openai_agents import ChatStoreSession, record

HERE = Path(__file__).parent
_WRITE = """
    import asyncio, sys
    from scripted_agents import agent, growing, run
    from chatstore import AsyncChatStore
    from chatstore.recorders.openai_agents import ChatStoreSession, record

    async def main():
        async with AsyncChatStore(sys.argv[1]) as store:
            session = ChatStoreSession(store.history("chat"))
            poet = agent("poet", [growing("half of it", "half ", "of it", asyncio.Event())])
            async for event in record(run(poet, "go", session=session), session, strict=True):
                pass
    asyncio.run(main())
"""
_CANCEL = """
    import sys
    from chatstore import ChatStore
    with ChatStore(sys.argv[1]) as store:
        history = store.history("chat")
        history.cancel_run(history.runs()[0].id)
        print("cancelled", flush=True)
"""


def said(event: Any) -> str:
    return getattr(getattr(event, "data", None), "delta", "")


async def test_a_second_process_follows_the_text_as_it_comes(path: Path, async_store: AsyncChatStore) -> None:
    session = ChatStoreSession(async_store.history(CONTEXT))
    await session.history.head()
    read = asyncio.Event()
    poet = agent("poet", [growing("half of it", "half ", "of ", read, "it")])
    with follower(path) as reader:
        async for event in record(run(poet, "go", session=session), session, strict=True):
            if said(event) == "of ":
                await asyncio.to_thread(reader.reads, "half of ")
                read.set()
    assert [one["role"] for one in await session.get_items()] == ["user", "assistant"]


def test_a_writer_that_is_killed_leaves_an_interrupted_run_and_a_session_to_go_on_with(path: Path) -> None:
    with ChatStore(path) as store:
        store.history(CONTEXT).head()
        with follower(path) as reader, Process(_WRITE, path, path=HERE) as writer:
            reader.reads("half of it")
            writer.kill()
        assert ended(store).state == "interrupted"
    asyncio.run(_goes_on(path))


async def _goes_on(path: Path) -> None:
    async with AsyncChatStore(path) as store:
        session = ChatStoreSession(store.history(CONTEXT))
        blocks = await session.history.get_messages()
        assert shapes(blocks) == [("message", "closed", None, "go"), ("message", "interrupted", "poet", "half of it")]
        assert await session.get_items() == [{"role": "user", "content": "go"}]
        async for _ in record(run(agent("poet", [message("Here")]), "on", session=session), session, strict=True):
            pass
        assert [one["role"] for one in await session.get_items()] == ["user", "user", "assistant"]


@pytest.mark.parametrize("source", ["result", "events"])
async def test_who_cancels_elsewhere_stops_the_agent(path: Path, async_store: AsyncChatStore, source: str) -> None:
    session = ChatStoreSession(async_store.history(CONTEXT))
    worked: list[int] = []
    go_on = asyncio.Event()
    poet = agent("poet", [growing("half of it", "half ", go_on, *(["of "] * 10_000), "it")])
    result = run(poet, "go", session=session)
    with pytest.raises(RunCancelled):
        async for event in record(result if source == "result" else result.stream_events(), session, strict=True):
            if said(event) == "half ":
                with Process(_CANCEL, path) as other:
                    assert await asyncio.to_thread(other.line) == "cancelled"
                go_on.set()
            worked.append(1)
    assert len(worked) < 9_000
    assert result.run_loop_task.cancelled()
    [done] = await session.history.runs()
    assert done.state == "cancelled"
    assert shapes(await session.history.get_messages())[1][:3] == ("message", "cancelled", "poet")
    assert await session.get_items() == [{"role": "user", "content": "go"}]


@pytest.mark.parametrize("source", ["result", "events"])
async def test_who_closes_early_stops_the_agent(async_store: AsyncChatStore, source: str) -> None:
    session = ChatStoreSession(async_store.history(CONTEXT))
    result = run(agent("poet", [growing("half of it", "half ", asyncio.Event())]), "go", session=session)
    recording = record(result if source == "result" else result.stream_events(), session, strict=True)
    async with recording:
        async for event in recording:
            if said(event):
                break
    assert result.run_loop_task.cancelled()
    assert [one.state for one in await session.history.runs()] == ["cancelled"]
    assert shapes(await session.history.get_messages())[1] == ("message", "cancelled", "poet", "half ")


async def test_a_task_that_is_cancelled_cancels_the_run(async_store: AsyncChatStore) -> None:
    session = ChatStoreSession(async_store.history(CONTEXT))
    result = run(agent("poet", [growing("half of it", "half ", asyncio.Event())]), "go", session=session)
    begun = asyncio.Event()

    async def work() -> None:
        async for event in record(result, session, strict=True):
            if said(event):
                begun.set()

    task = asyncio.create_task(work())
    await asyncio.wait_for(begun.wait(), DEADLINE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one.state for one in await session.history.runs()] == ["cancelled"]
    assert shapes(await session.history.get_messages())[1] == ("message", "cancelled", "poet", "half ")


async def test_nothing_comes_for_too_long(async_store: AsyncChatStore, begin_idling: Callable[[], None]) -> None:
    session = ChatStoreSession(async_store.history(CONTEXT))
    go_on = asyncio.Event()
    result = run(agent("poet", [growing("half of it", "half ", go_on, "of it")]), "go", session=session)

    async def until_it_ended(run_id: str) -> None:
        async for change in session.history.subscribe(run=run_id, timeout=DEADLINE):
            if isinstance(change, TextAppended):
                begin_idling()
        go_on.set()

    recording = record(result, session, idle_limit=0.2)
    waiting = asyncio.create_task(until_it_ended(recording.run_id))
    assert [said(event) for event in [event async for event in recording] if said(event)] == ["half ", "of it"]
    await waiting
    [done] = await session.history.runs()
    assert done.error is not None
    assert (done.state, done.error.type) == ("failed", "StreamIdle")
    assert [one["role"] for one in await session.get_items()] == ["user", "assistant"], "the agent goes on"
    assert shapes(await session.history.get_messages())[1:] == [
        ("message", "failed", "poet", "half "),
        ("message", "closed", None, "half of it"),
    ]


async def test_a_recorder_that_breaks_does_not_break_the_agent(async_store: AsyncChatStore) -> None:
    session = ChatStoreSession(async_store.history(CONTEXT))
    result = run(agent("a", [call("add", '{"a": 1, "b": 1}')], [message("Two")], tools=[add]), session=session)

    class Poisoned:
        """The result, with an event that no script can read."""

        def __getattr__(self, name: str) -> Any:
            return getattr(result, name)

        async def stream_events(self) -> Any:
            async for event in result.stream_events():
                yield event
                if said(event) == '{"a": ':
                    yield Poison()

    async for _ in record(Poisoned(), session):
        pass
    assert result.final_output == "Two"
    assert [one.get("type", "message") for one in await session.get_items()] == [
        *("message", "function_call", "function_call_output", "message")
    ]
    assert [one.state for one in await session.history.runs()] == ["failed"]
