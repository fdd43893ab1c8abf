"""A tool that was given no history takes that of the run that goes on, and never that of another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from served import Host

from chatstore import AsyncChatStore, AsyncHistory, ChatStore, History, UsageError
from chatstore.recorders import openai_chat

DEADLINE = 20
NONE = r"no run goes on here: call it inside `with history.run\(\)`.*copy_context"
OVER = "the run that this thread or task belonged to has ended"


def say(text: str) -> None:
    """A tool."""
    History.current().append_status_message(text)


async def say_async(text: str) -> None:
    await AsyncHistory.current().append_status_message(text)


def said(history: History) -> list[tuple[str, str | None]]:
    return [(block.text, block.run_id) for block in history.get_messages(types=["status"])]


def test_it_is_that_of_the_run_and_what_is_said_belongs_to_it(store: ChatStore) -> None:
    history = store.history("c")
    with history.run() as run:
        assert History.current() is history
        say("inside")
    assert said(history) == [("inside", run.id)]


def test_outside_a_run_there_is_none(store: ChatStore) -> None:
    with pytest.raises(UsageError, match=NONE):
        History.current()
    with pytest.raises(UsageError, match=NONE):
        AsyncHistory.current()
    with store.history("c").run():
        pass
    with pytest.raises(UsageError, match=NONE):
        say("afterwards")


def test_inside_another_run_it_is_that_of_the_inner_one(store: ChatStore) -> None:
    one, other = store.history("one"), store.history("other")
    with one.run():
        with other.run():
            say("to the other")
        say("to the one")
    assert [[text for text, _ in said(history)] for history in (one, other)] == [["to the one"], ["to the other"]]


async def test_inside_another_run_of_a_task_too(async_store: AsyncChatStore) -> None:
    one, other = async_store.history("one"), async_store.history("other")
    async with one.run():
        async with other.run():
            await say_async("to the other")
        await say_async("to the one")
    with pytest.raises(UsageError, match=NONE):
        AsyncHistory.current()
    found = [[block.text for block in await history.get_messages()] for history in (one, other)]
    assert found == [["to the one"], ["to the other"]]


def test_a_thread_knows_of_it_by_a_copy_of_the_context(store: ChatStore) -> None:
    history = store.history("c")
    with history.run() as run, ThreadPoolExecutor(4) as pool:
        with pytest.raises(UsageError, match=NONE):
            pool.submit(say, "lost").result(DEADLINE)
        done = [pool.submit(copy_context().run, say, f"tool {number}") for number in range(8)]
        for one in done:
            one.result(DEADLINE)
    assert sorted(said(history)) == sorted((f"tool {number}", run.id) for number in range(8))


async def test_tasks_side_by_side_have_each_their_own(async_store: AsyncChatStore) -> None:
    together = asyncio.Barrier(2)

    async def work(name: str) -> None:
        async with async_store.history(name).run():
            await together.wait()
            await asyncio.gather(*(say_async(f"secret of {name}") for _ in range(3)))
            await together.wait()

    await asyncio.wait_for(asyncio.gather(work("A"), work("B")), DEADLINE)
    for name in ("A", "B"):
        blocks = await async_store.history(name).get_messages()
        assert [block.text for block in blocks] == [f"secret of {name}"] * 3


async def test_a_thread_of_a_task_hands_it_to_the_event_loop(async_store: AsyncChatStore) -> None:
    history, loop = async_store.history("c"), asyncio.get_running_loop()

    def tool() -> None:
        with pytest.raises(UsageError, match=r"of another kind: take AsyncHistory.current\(\)"):
            History.current()
        asyncio.run_coroutine_threadsafe(say_async("from a thread"), loop).result(DEADLINE)

    async with history.run() as run:
        await asyncio.to_thread(tool)
    assert [(block.text, block.run_id) for block in await history.get_messages()] == [("from a thread", run.id)]


def test_an_agent_that_is_submitted_has_it(store: ChatStore) -> None:
    handle = store.submit(lambda history, prompt: say(f"on it: {prompt}"), "x", context="c")
    handle.result(DEADLINE)
    assert said(handle.history) == [("on it: x", handle.run.id)]


async def test_and_so_has_one_of_an_event_loop(async_store: AsyncChatStore) -> None:
    async def agent(history: AsyncHistory, prompt: str) -> None:
        assert AsyncHistory.current() is history
        await say_async(f"on it: {prompt}")

    handle = await async_store.submit(agent, "x", context="c")
    await handle.result(DEADLINE)
    assert [block.text for block in await handle.history.get_messages()] == ["x", "on it: x"]


def test_the_code_of_a_recorded_stream_has_it_and_who_reads_it_has_not(store: ChatStore) -> None:
    end = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    def stream() -> Iterator[dict[str, Any]]:
        say("by a tool")
        yield end

    recording = openai_chat.record(stream(), store.history("c"), strict=True)
    for _ in recording:
        with pytest.raises(UsageError, match=NONE):
            History.current()
    assert said(store.history("c")) == [("by a tool", recording.run_id)]


@pytest.mark.parametrize("outside", [False, True], ids=["alone", "inside another run"])
async def test_a_task_that_outlives_its_run_has_none(async_store: AsyncChatStore, outside: bool) -> None:
    """Nor that of a run outside: it may be of another context, which must not see what the task says."""
    over = asyncio.Event()

    async def linger() -> None:
        await over.wait()
        with pytest.raises(UsageError, match=OVER):
            AsyncHistory.current()

    async def work() -> None:
        async with async_store.history("B").run():
            lingering = asyncio.create_task(linger())
        over.set()
        await asyncio.wait_for(lingering, DEADLINE)

    if outside:
        async with async_store.history("A").run():
            await work()
    else:
        await work()


def test_a_thread_that_outlives_its_run_has_none(store: ChatStore) -> None:
    over, refused = threading.Event(), threading.Event()

    def linger() -> None:
        assert over.wait(DEADLINE)
        with pytest.raises(UsageError, match=OVER):
            History.current()
        refused.set()

    with store.history("A").run():
        with store.history("B").run():
            thread = threading.Thread(target=copy_context().run, args=(linger,))
            thread.start()
        over.set()
        thread.join(DEADLINE)
    assert refused.is_set()


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


async def test_a_run_at_a_server_is_no_other(path: Any, host: Host) -> None:
    async with host.serving(str(path)) as served:

        def work(opened: Callable[[], ChatStore] = lambda: ChatStore(served.url, token=served.token)) -> list[str]:
            with opened() as store:
                with store.history("c").run():
                    say("far away")
                return [text for text, _ in said(store.history("c"))]

        assert await asyncio.to_thread(work) == ["far away"]
