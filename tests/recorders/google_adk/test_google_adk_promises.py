"""What holds for every recorder, of invocations of Google's ADK: with other processes, and however they end."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.adk.plugins import BasePlugin
from recorded import DEADLINE, Process, shapes
from scripted_adk import Running, adding, agent, history_of, message, piece, rooted, run, says, streamed, text

from chatstore import AsyncChatStore, AsyncHistory, Block, ChatStore, Run, TextAppended
from chatstore.errors import InvalidInput, RunCancelled, UsageError
from chatstore.recorders.google_adk import Recorder, record

HERE = Path(__file__).parent
KEYS = {"app_name": "app", "user_id": "u", "session_id": "s"}
WAYS = ("plugin", "stream", "both")
ROOTS = ("llm", "own", "workflow")

_WRITE = """
    import asyncio, sys
    from scripted_adk import agent, piece, run, text
    from chatstore import AsyncChatStore

    async def main():
        async with AsyncChatStore(sys.argv[1]) as store:
            await run(sys.argv[2], agent([piece(text("half ")), piece(text("of it")), asyncio.Event()]), store)
    asyncio.run(main())
"""
_FOLLOW = """
    import sys
    from chatstore import ChatStore, TextAppended
    with ChatStore(sys.argv[1]) as store:
        print("ready", flush=True)
        for change in store.history({"app_name": "app", "user_id": "u", "session_id": "s"}).subscribe(timeout=60):
            if isinstance(change, TextAppended):
                print("text", repr(change.text), flush=True)
"""


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return history_of(async_store)


def follower(path: Path) -> Process:
    process = Process(_FOLLOW, path)
    assert process.line() == "ready"
    return process


async def the_run(history: AsyncHistory) -> Run:
    [found] = await history.runs()
    return found


async def said(history: AsyncHistory) -> list[Block]:
    return await history.get_messages(types=["message"], roles=["assistant"])


def plain(event: Any) -> Any:
    """An event without what differs from run to run."""
    found = event.model_dump(exclude={"id", "timestamp", "invocation_id"})
    for part in (found["content"] or {}).get("parts") or ():
        for name in ("function_call", "function_response"):
            (part[name] or {}).pop("id", None)
    return found


@pytest.mark.parametrize("way", WAYS)
async def test_events_are_the_same_as_without_the_recorder(way: str, async_store: AsyncChatStore) -> None:
    expected = await run(way, adding(), None)
    given = await run(way, adding(), async_store, strict=True)
    assert [plain(event) for event in given] == [plain(event) for event in expected]


async def test_the_very_objects_come_out(async_store: AsyncChatStore) -> None:
    made: list[Any] = []

    async def source() -> Any:
        async for event in await Running(adding()).events():
            made.append(event)
            yield event

    given = [event async for event in record(source(), history_of(async_store), strict=True)]
    assert len(given) > 6
    assert all(one is other for one, other in zip(given, made, strict=True))


@pytest.mark.parametrize("way", WAYS)
async def test_a_second_process_follows_the_text_as_it_comes(
    way: str, path: Path, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    await history.append_status_message("begins")
    words = ["one ", "two ", "three"]
    with await asyncio.to_thread(follower, path) as other:
        go_on = [asyncio.Event() for _ in words]
        pieces = [one for word, event in zip(words, go_on, strict=True) for one in (piece(text(word)), event)]
        running = asyncio.create_task(run(way, agent([*pieces, says(text("one two three"))]), async_store, strict=True))
        told = ""
        for word, event in zip(words, go_on, strict=True):
            told += word
            await asyncio.to_thread(other.reads, told)
            event.set()
        await asyncio.wait_for(running, DEADLINE)
    assert shapes(await said(history)) == [("message", "closed", "one two three")]


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_is_killed_leaves_an_interrupted_run_with_its_text(
    way: str, path: Path, store: ChatStore
) -> None:
    history = store.history(KEYS)
    history.append_status_message("begins")
    with follower(path) as other, Process(_WRITE, path, way, path=HERE) as writer:
        other.reads("half of it")
        writer.kill()
        [found] = history.runs()
        for _ in history.subscribe(run=found.id, timeout=DEADLINE):
            pass
    assert history.get_run(found.id).state == "interrupted"
    blocks = history.get_messages(types=["message"])
    assert shapes(blocks) == [("message", "closed", "Add 2 and 3"), ("message", "interrupted", "half of it")]


@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_from_another_store_it_stops(
    way: str, path: Path, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    async def cancel(event: Any) -> None:
        if event.get_function_calls():
            async with AsyncChatStore(path) as other:
                await history_of(other).cancel_run((await the_run(history)).id)

    # The framework puts what a plugin raises into an error of its own.
    with pytest.raises(RuntimeError if way == "plugin" else RunCancelled) as raised:
        await run(way, adding(), async_store, heard=cancel)
    assert isinstance(raised.value.__cause__ if way == "plugin" else raised.value, RunCancelled)
    assert (await the_run(history)).state == "cancelled"
    assert not await history.get_messages(states=["open"])


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_task_that_is_cancelled_cancels_the_run(
    way: str, root: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    made = rooted(root, [piece(text("half ")), asyncio.Event()])
    running = asyncio.create_task(run(way, made, async_store))
    async for change in history.subscribe(roles=["assistant"], timeout=DEADLINE):
        if isinstance(change, TextAppended):
            break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await the_run(history)).state == "cancelled"
    assert shapes(await said(history)) == [("message", "cancelled", "half ")]


@pytest.mark.parametrize("root", ROOTS)
async def test_a_time_limit_around_the_reader_cancels_the_run(
    root: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    async def run_out(event: Any) -> None:
        limit.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            await run("plugin", rooted(root, [piece(text("half ")), asyncio.Event()]), async_store, heard=run_out)
    assert (await the_run(history)).state == "cancelled"


class Waiting(BasePlugin):
    """Keeps an invocation from its agents."""

    async def before_run_callback(self, *, invocation_context: Any) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("root", ROOTS)
async def test_a_task_that_is_cancelled_before_any_agent_begins_cancels_the_run(
    root: str, goes_on: bool, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    ended = asyncio.Event()

    async def read() -> None:
        running = Running(rooted(root, streamed("never")), Recorder(async_store, strict=True), Waiting("waiting"))
        async for _ in await running.events():
            pass

    async def survive() -> None:
        with suppress(asyncio.CancelledError):
            await read()
        await asyncio.sleep(0)  # the loop holds the exception until the task gives way
        gc.collect()
        await ended.wait()

    reading = asyncio.create_task(survive() if goes_on else read())
    async for _ in history.subscribe(roles=["user"], timeout=DEADLINE):
        break
    reading.cancel()
    async for _ in history.subscribe(run=(await the_run(history)).id, timeout=DEADLINE):
        pass
    assert (await the_run(history)).state == "cancelled"
    ended.set()
    await asyncio.wait([reading])


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_is_closed_early_cancels_the_run(
    way: str, root: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    made = rooted(root, [piece(text("half ")), asyncio.Event()])
    plugins = [] if way == "stream" else [Recorder(async_store, strict=True)]
    stream: Any = await Running(made, *plugins).events()
    if way != "plugin":
        stream = record(stream, history, strict=True)
    async for _ in stream:
        break
    await stream.aclose()
    assert (await the_run(history)).state == "cancelled"
    assert shapes(await said(history)) == [("message", "cancelled", "half ")]


@pytest.mark.parametrize("root", ROOTS)
async def test_a_stream_that_is_left_and_forgotten_cancels_the_run(
    root: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    async def leave() -> None:
        made = rooted(root, [piece(text("half ")), asyncio.Event()])
        async for _ in await Running(made, Recorder(async_store, strict=True)).events():
            break

    await leave()
    gc.collect()
    async for _ in history.subscribe(run=(await the_run(history)).id, timeout=DEADLINE):
        pass
    assert (await the_run(history)).state == "cancelled"


async def test_a_stream_that_tasks_read_one_event_each_is_one_run(
    async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    stream = aiter(await Running(adding(), Recorder(async_store, strict=True)).events())
    with pytest.raises(StopAsyncIteration):
        while True:
            await asyncio.create_task(_next(stream))
    assert (await the_run(history)).state == "completed"


async def _next(stream: Any) -> Any:
    return await anext(stream)


async def test_who_stops_after_the_last_answer_cancels_nothing(
    async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    stream: Any = await Running(adding(), Recorder(async_store, strict=True)).events()
    async for event in stream:
        if event.is_final_response():
            break
    await stream.aclose()
    assert (await the_run(history)).state == "completed"


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("way", WAYS)
async def test_an_error_is_kept_and_raised(
    way: str, root: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    error = ValueError("the model is away")
    with pytest.raises(ValueError, match="away"):
        await run(way, rooted(root, [piece(text("half of it")), error]), async_store)
    found = await the_run(history)
    assert (found.state, found.error and found.error.message) == ("failed", "the model is away")
    assert shapes(await said(history)) == [("message", "failed", "half of it")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_that_breaks_off_has_failed(way: str, async_store: AsyncChatStore, history: AsyncHistory) -> None:
    await run(way, agent([piece(text("half of it"))]), async_store, strict=True)
    found = await the_run(history)
    assert (found.state, found.error and found.error.type) == ("failed", "StreamTruncated")
    assert shapes(await said(history)) == [("message", "failed", "half of it")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_hang_ends_at_the_idle_limit_and_the_agent_goes_on(
    way: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    go_on = asyncio.Event()
    made = agent([piece(text("half ")), go_on, says(text("half done"))])
    running = asyncio.create_task(run(way, made, async_store, idle_limit=0.3))
    async for _ in history.subscribe(roles=["assistant"], timeout=DEADLINE):
        break
    async for _ in history.subscribe(run=(await the_run(history)).id, timeout=DEADLINE):
        pass
    found = await the_run(history)
    assert (found.state, found.error and found.error.type) == ("failed", "StreamIdle")
    go_on.set()
    assert len(await asyncio.wait_for(running, DEADLINE)) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_store_that_is_gone_breaks_no_agent(way: str, tmp_path: Path, caplog: Any) -> None:
    store = AsyncChatStore(tmp_path / "gone.db")

    async def close(event: Any) -> None:
        await store.close()

    assert len(await run(way, adding(), store, heard=close)) == len(await run(way, adding(), None))
    assert "recording has stopped" in caplog.text


async def test_a_runner_that_is_closed_leaves_no_run(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    running = Running(agent([piece(text("half ")), asyncio.Event()]), Recorder(async_store, strict=True))
    stream: Any = await running.events()
    await anext(stream)
    await running.runner.close()
    assert (await the_run(history)).state == "cancelled"
    await stream.aclose()


async def test_an_abort_cancels_the_run(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    abort = asyncio.Event()
    running = Running(agent([piece(text("half ")), asyncio.Event()]), Recorder(async_store, strict=True))
    async for _ in await running.events(abort_signal=abort):
        abort.set()
    assert (await the_run(history)).state == "cancelled"


async def test_two_turns_are_two_runs_of_one_context(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    running = Running(agent(streamed("one"), streamed("two")), Recorder(async_store, strict=True))
    for asked in ("first", "second"):
        async for _ in await running.events(message(asked)):
            pass
    assert [found.state for found in await history.runs()] == ["completed"] * 2
    texts = [block.text for block in await history.get_messages(kind="transcript")]
    assert texts == ["first", "one", "second", "two"]


async def test_what_cannot_be_recorded_is_refused_at_once(store: ChatStore, async_store: AsyncChatStore) -> None:
    with pytest.raises(UsageError, match="AsyncChatStore"):
        Recorder(store)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="promt"):
        Recorder(async_store, promt="x")  # type: ignore[call-arg]
