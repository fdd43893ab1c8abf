"""What holds for every recorder, of the one for AutoGen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseAgentEvent
from recorded import CONTEXT, Process, ended, follower, shapes
from scripted_team import agent, calls, researcher_and_writer, team

from chatstore import AsyncChatStore, ChatStore, TextAppended
from chatstore.errors import InvalidInput, RunCancelled, UsageError
from chatstore.recorders.autogen import record

TASK = "add 2 and 3"
HERE = Path(__file__).parent

_WRITE = """
    import asyncio, sys
    from scripted_team import agent, team
    from chatstore import AsyncChatStore
    from chatstore.recorders.autogen import record

    async def main():
        async with AsyncChatStore(sys.argv[1]) as store:
            chat = team(agent("a", ["half ", "of it", asyncio.Event()]))
            async for event in record(chat.run_stream(task="go"), store.history("chat")):
                pass
    asyncio.run(main())
"""


def plain(event: Any) -> Any:
    """An event without what differs from run to run."""
    if isinstance(event, TaskResult):
        return [plain(message) for message in event.messages], event.stop_reason
    return event.model_dump(exclude={"id", "created_at", "full_message_id"})


async def test_events_are_the_same_as_without_the_recorder(async_store: AsyncChatStore) -> None:
    expected = [plain(event) async for event in researcher_and_writer().run_stream(task=TASK)]
    made = []

    async def source() -> AsyncIterator[Any]:
        async for event in researcher_and_writer().run_stream(task=TASK):
            made.append(event)
            yield event

    given = [event async for event in record(source(), async_store.history(CONTEXT), strict=True)]
    assert all(one is other for one, other in zip(given, made, strict=True))
    assert [plain(event) for event in given] == expected


async def test_a_second_process_follows_the_text_as_it_comes(path: Path, async_store: AsyncChatStore) -> None:
    history = async_store.history(CONTEXT)
    await history.append_status_message("begins")
    text = ""
    with await asyncio.to_thread(follower, path) as other:
        stream = team(agent("a", "one two three four APPROVE")).run_stream(task=TASK)
        async for event in record(stream, history, strict=True):
            if type(event).__name__ == "ModelClientStreamingChunkEvent":
                text += event.content
                await asyncio.to_thread(other.reads, text)
    assert text == "one two three four APPROVE"


def test_a_process_that_is_killed_leaves_an_interrupted_run_with_its_text(path: Path, store: ChatStore) -> None:
    store.history(CONTEXT).append_status_message("begins")
    with follower(path) as other, Process(_WRITE, path, path=HERE) as writer:
        other.reads("half of it")
        writer.kill()
        assert ended(store).state == "interrupted"
    assert shapes(store.history(CONTEXT).get_messages())[1:] == [
        ("message", "closed", "go"),
        ("message", "interrupted", "half of it"),
    ]


async def test_cancelled_from_another_store_it_stops(path: Path, async_store: AsyncChatStore) -> None:
    history = async_store.history(CONTEXT)
    recording = record(team(agent("a", "one two three"), agent("b", "APPROVE")).run_stream(task=TASK), history)
    with pytest.raises(RunCancelled):
        async for event in recording:
            if type(event).__name__ == "ModelClientStreamingChunkEvent":
                async with AsyncChatStore(path) as other:
                    await other.history(CONTEXT).cancel_run(recording.run_id)
    assert (await history.get_run(recording.run_id)).state == "cancelled"
    assert not await history.get_messages(states=["open"])


async def test_closing_early_cancels_the_run(async_store: AsyncChatStore) -> None:
    history = async_store.history(CONTEXT)
    async with record(team(agent("a", "one two three APPROVE")).run_stream(task=TASK), history) as recording:
        async for event in recording:
            if type(event).__name__ == "ModelClientStreamingChunkEvent":
                break
    assert (await history.get_run(recording.run_id)).state == "cancelled"
    assert shapes(await history.get_messages())[1:] == [("message", "cancelled", "one ")]


async def test_closing_while_a_tool_hangs_cancels_the_run_at_once(async_store: AsyncChatStore) -> None:
    go_on = asyncio.Event()

    async def wait(x: int) -> str:
        """Waits."""
        await go_on.wait()
        return "late"

    history = async_store.history(CONTEXT)
    recording = record(team(agent("a", calls(("wait", '{"x": 0}')), tools=[wait])).run_stream(task=TASK), history)
    async for event in recording:
        if type(event).__name__ == "ToolCallRequestEvent":
            break
    closing = asyncio.create_task(recording.aclose())  # which AutoGen ends when the tool does
    async for _ in history.subscribe(run=recording.run_id, timeout=30):
        pass
    assert (await history.get_run(recording.run_id)).state == "cancelled"
    assert [block.state for block in await history.get_messages(types=["function_call"])] == ["cancelled"]
    go_on.set()
    await asyncio.wait_for(closing, 30)


async def test_a_task_that_is_cancelled_cancels_the_run(async_store: AsyncChatStore) -> None:
    history = async_store.history(CONTEXT)
    stream = agent("a", ["half ", asyncio.Event()]).run_stream(task=TASK)
    recording = record(stream, history)

    async def read() -> None:
        async for _ in recording:
            pass

    reading = asyncio.create_task(read())
    async for change in history.subscribe(roles=["assistant"], timeout=30):
        if isinstance(change, TextAppended):
            break
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await history.get_run(recording.run_id)).state == "cancelled"
    assert shapes(await history.get_messages())[1:] == [("message", "cancelled", "half ")]


async def test_a_store_that_is_gone_breaks_no_agent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncChatStore(tmp_path / "gone.db") as store:
        recording = record(researcher_and_writer().run_stream(task=TASK), store.history(CONTEXT))
        await anext(recording)
    assert type([event async for event in recording][-1]).__name__ == "TaskResult"
    assert "recording has stopped" in caplog.text


async def test_events_of_ones_own_are_statuses_and_others_are_passed_by(async_store: AsyncChatStore) -> None:
    class Progress(BaseAgentEvent):
        content: str

        def to_text(self) -> str:
            return self.content

    async def source() -> AsyncIterator[Any]:
        yield object()
        yield Progress(source="me", content="half way")
        async for event in agent("solo", "done").run_stream(task=TASK):
            yield event

    history = async_store.history(CONTEXT)
    assert len([event async for event in record(source(), history, strict=True)]) == 6
    assert shapes(await history.get_messages())[0] == ("status", "closed", "half way")


def test_a_team_is_not_recorded_in_a_store_for_threads(store: ChatStore) -> None:
    stream = team(agent("a", "x")).run_stream(task=TASK)
    with pytest.raises(UsageError):
        record(stream, store.history(CONTEXT))  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["streamed", "shown", "people"])
async def test_one_name_is_no_list_of_names(async_store: AsyncChatStore, option: str) -> None:
    with pytest.raises(InvalidInput, match=option):
        record(agent("a").run_stream(task=TASK), async_store.history(CONTEXT), **{option: "writer"})  # type: ignore[arg-type]
