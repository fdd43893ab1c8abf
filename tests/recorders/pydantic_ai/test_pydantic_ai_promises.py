"""What holds for every recorder, of agents of pydantic-ai that run: with other processes, and however a run ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import ProcessEventStream
from pydantic_ai.messages import AgentStreamEvent, FunctionToolCallEvent, PartStartEvent
from recorded import CONTEXT, DEADLINE, Process, ended, follower, shapes
from scripted_agents import adding, agent, call, run

from chatstore import AsyncChatStore, AsyncHistory, ChatStore, Run, TextAppended
from chatstore.errors import InvalidInput, RunCancelled, UsageError
from chatstore.recorders.pydantic_ai import Recorder, record, recording

TASK = "Add 2 and 3"
HERE = Path(__file__).parent
WAYS = ("capability", "handler", "stream")

_WRITE = """
    import asyncio, sys
    from scripted_agents import agent, run
    from chatstore import AsyncChatStore

    async def main():
        async with AsyncChatStore(sys.argv[1]) as store:
            await run(sys.argv[2], agent(["half ", "of it", asyncio.Event()]), store.history("chat"), "go")
    asyncio.run(main())
"""


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history(CONTEXT)


async def the_run(history: AsyncHistory) -> Run:
    [run] = await history.runs()
    return run


def plain(event: Any) -> str:
    """An event without what differs from run to run."""
    return repr(event).partition("timestamp")[0]


@pytest.mark.parametrize("way", ["capability", "stream"])
async def test_events_are_the_same_as_without_the_recorder(way: str, history: AsyncHistory) -> None:
    expected = await run(way, adding(), None)
    given = await run(way, adding(), history, strict=True)
    assert [plain(event) for event in given] == [plain(event) for event in expected]


async def test_the_very_objects_come_out(history: AsyncHistory) -> None:
    inside: list[AgentStreamEvent] = []
    outside: list[AgentStreamEvent] = []

    async def inner(ctx: Any, stream: Any) -> None:
        async for event in stream:
            inside.append(event)

    async def outer(ctx: Any, stream: Any) -> None:
        async for event in stream:
            outside.append(event)

    capabilities = [Recorder(history, strict=True), ProcessEventStream(inner)]
    await adding().run(TASK, capabilities=capabilities, event_stream_handler=outer)
    assert len(inside) == len(outside) > 8
    assert all(one is other for one, other in zip(inside, outside, strict=True))


@pytest.mark.parametrize("way", WAYS)
async def test_a_second_process_follows_the_text_as_it_comes(way: str, path: Path, history: AsyncHistory) -> None:
    await history.append_status_message("begins")
    words = ["one ", "two ", "three"]
    with await asyncio.to_thread(follower, path) as other:
        go_on = [asyncio.Event() for _ in words]
        answer = [piece for word, event in zip(words, go_on, strict=True) for piece in (word, event)]
        running = asyncio.create_task(run(way, agent(answer), history, strict=True))
        text = ""
        for word, event in zip(words, go_on, strict=True):
            text += word
            await asyncio.to_thread(other.reads, text)
            event.set()
        await asyncio.wait_for(running, DEADLINE)


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_is_killed_leaves_an_interrupted_run_with_its_text(
    way: str, path: Path, store: ChatStore
) -> None:
    store.history(CONTEXT).append_status_message("begins")
    with follower(path) as other, Process(_WRITE, path, way, path=HERE) as writer:
        other.reads("half of it")
        writer.kill()
        assert ended(store).state == "interrupted"
    blocks = [block for block in store.history(CONTEXT).get_messages() if block.type == "message"]
    assert shapes(blocks) == [("message", "closed", "go"), ("message", "interrupted", "half of it")]


@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_from_another_store_it_stops(way: str, path: Path, history: AsyncHistory) -> None:
    async def cancel(event: Any) -> None:
        if isinstance(event, FunctionToolCallEvent):
            async with AsyncChatStore(path) as other:
                await other.history(CONTEXT).cancel_run((await the_run(history)).id)

    with pytest.raises(RunCancelled):
        await run(way, adding(), history, heard=cancel)
    assert (await the_run(history)).state == "cancelled"
    assert not await history.get_messages(states=["open"])


@pytest.mark.parametrize("way", WAYS)
async def test_a_task_that_is_cancelled_cancels_the_run(way: str, history: AsyncHistory) -> None:
    running = asyncio.create_task(run(way, agent(["half ", asyncio.Event()]), history))
    async for change in history.subscribe(roles=["assistant"], timeout=DEADLINE):
        if isinstance(change, TextAppended):
            break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await the_run(history)).state == "cancelled"
    assert shapes(await history.get_messages(types=["message"]))[1:] == [("message", "cancelled", "half ")]


async def test_a_stream_that_is_left_early_cancels_the_run(history: AsyncHistory) -> None:
    async with (
        agent(["half ", asyncio.Event()]).run_stream_events(TASK) as events,
        record(events, history, strict=True) as recorded,
    ):
        async for event in recorded:
            if isinstance(event, PartStartEvent):
                break
    assert shapes(await history.get_messages()) == [("message", "cancelled", "half ")]
    assert (await the_run(history)).state == "cancelled"


@pytest.mark.parametrize("by", ["run_stream_events", "run_stream", "iter"])
async def test_however_a_run_is_left_early_the_capability_knows(by: str, history: AsyncHistory) -> None:
    made, recorder = agent(["half ", asyncio.Event()]), Recorder(history, strict=True)
    async with getattr(made, by)(TASK, capabilities=[recorder]) as running:
        if by == "run_stream_events":
            async for _ in running:
                break
        elif by == "run_stream":
            async for _ in running.stream_text(debounce_by=None):
                break
        else:
            async for node in running:
                if Agent.is_model_request_node(node):
                    break
    assert (await the_run(history)).state == "cancelled"
    assert not await history.get_messages(states=["open"])


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_is_kept_and_raised(way: str, history: AsyncHistory) -> None:
    error = ValueError("the model is away")
    with pytest.raises(ValueError, match="away") as raised:
        await run(way, agent(["half of it", error]), history)
    assert raised.value is error
    found = await the_run(history)
    assert (found.state, found.error and found.error.message) == ("failed", "the model is away")
    assert shapes(await history.get_messages(types=["message"]))[1:] == [("message", "failed", "half of it")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_tool_that_raises_fails_the_run_and_its_call(way: str, history: AsyncHistory) -> None:
    async def broken() -> str:
        """Is broken."""
        raise KeyError("gone")

    with pytest.raises(KeyError):
        await run(way, agent(call("broken", "{}"), tools=[broken]), history)
    assert (await the_run(history)).state == "failed"
    assert [block.state for block in await history.get_messages(types=["function_call"])] == ["failed"]


async def test_a_handler_without_a_proper_end_has_failed(history: AsyncHistory) -> None:
    async with recording(history) as handler:
        with pytest.raises(ValueError, match="away"):
            await agent(["half", ValueError("away")]).run(TASK, event_stream_handler=handler)
    found = await the_run(history)
    assert (found.state, found.error and found.error.type) == ("failed", "StreamTruncated")


async def test_a_handler_that_heard_nothing_leaves_no_run(history: AsyncHistory) -> None:
    async with recording(history, prompt="unused"):
        pass
    assert (await history.runs(), await history.get_messages()) == ([], [])


async def test_a_handler_whose_model_fails_at_once_has_failed(history: AsyncHistory) -> None:
    with pytest.raises(ValueError, match="away"):
        async with recording(history, prompt=TASK):
            raise ValueError("away")
    assert (await the_run(history)).state == "failed"
    assert [block.text for block in await history.get_messages()] == [TASK]


@pytest.mark.parametrize("way", WAYS)
async def test_a_hang_ends_at_the_idle_limit_and_the_agent_goes_on(way: str, history: AsyncHistory) -> None:
    go_on = asyncio.Event()
    running = asyncio.create_task(run(way, agent(["half ", go_on, "done"]), history, idle_limit=0.3))
    async for _ in history.subscribe(types=["message"], timeout=DEADLINE):
        break
    found = (await the_run(history)).id
    async for _ in history.subscribe(run=found, timeout=DEADLINE):
        pass
    state = await history.get_run(found)
    assert (state.state, state.error and state.error.type) == ("failed", "StreamIdle")
    go_on.set()
    assert (await asyncio.wait_for(running, DEADLINE))[-1] == "half done"


@pytest.mark.parametrize("way", WAYS)
async def test_a_store_that_is_gone_breaks_no_agent(way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = AsyncChatStore(tmp_path / "gone.db")

    async def close(event: Any) -> None:
        await store.close()

    assert (await run(way, adding(), store.history(CONTEXT), heard=close))[-1] == "It is 5"
    assert "recording has stopped" in caplog.text


@pytest.mark.parametrize("way", WAYS)
async def test_a_store_that_cannot_be_opened_breaks_no_agent(way: str, tmp_path: Path) -> None:
    store = AsyncChatStore(tmp_path / "nowhere" / "chat.db")
    assert (await run(way, adding(), store.history(CONTEXT)))[-1] == "It is 5"
    with pytest.raises(Exception, match="nowhere"):
        await run(way, adding(), store.history(CONTEXT), strict=True)


async def test_what_cannot_be_recorded_is_refused_at_once(store: ChatStore, history: AsyncHistory) -> None:
    for made in (Recorder, recording):
        with pytest.raises(UsageError, match="AsyncChatStore"):
            made(store.history(CONTEXT))  # type: ignore[operator]
        with pytest.raises(InvalidInput, match="promt"):
            made(history, promt="x")  # type: ignore[operator]
        with pytest.raises(InvalidInput, match="not int"):
            made(7)  # type: ignore[operator]
    once = recording(history)
    with pytest.raises(UsageError, match="async with"):
        await agent(["x"]).run(TASK, event_stream_handler=once.handle)
    async with once as handler:
        await agent(["x"]).run(TASK, event_stream_handler=handler)
    with pytest.raises(UsageError, match="once"):
        await once.__aenter__()


async def test_two_runs_at_once_with_one_recorder_are_two_runs(async_store: AsyncChatStore) -> None:
    made = Agent(agent(["one"], ["two"]).model, capabilities=[Recorder(async_store.history(CONTEXT), strict=True)])
    await asyncio.gather(made.run("a"), made.run("b"))
    runs = await async_store.history(CONTEXT).runs()
    assert [found.state for found in runs] == ["completed"] * 2
    for found in runs:
        assert len(await async_store.history(CONTEXT).get_messages(types=["message"], run=found.id)) == 2
