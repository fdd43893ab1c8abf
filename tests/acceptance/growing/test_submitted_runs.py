"""Requests answered in the background: submitted at once, followed from their first change, apart from each other."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest
from data_support import report

from chatstore import AsyncChatStore, AsyncHistory, BlockAdded, Change, ChatStore, History, RunStarted

WITHIN = 0.02
"""Seconds in which a submit returns, whatever the agent does; the median of several."""
ROUNDS = 9
SECONDS = 20


def check_submit(first: Change, prompt: str, run_id: str) -> None:
    assert isinstance(first, BlockAdded)
    assert (first.role, first.block.text, first.run_id) == ("user", prompt, run_id)


def check_disjoint(parts: list[list[Change]], whole: Iterable[Change]) -> None:
    """Each change belongs to one run, and together they are the history's."""
    cursors = [[change.cursor for change in part] for part in parts]
    assert all(part == sorted(set(part)) for part in cursors)
    assert not {*cursors[0]} & {*cursors[1]}
    assert sorted(cursors[0] + cursors[1]) == [change.cursor for change in whole]
    for part in parts:
        assert len({change.run_id for change in part}) == 1


def print_times(face: str, times: list[float]) -> None:
    ordered = sorted(time * 1000 for time in times)
    report(f"submit, {face}: median {statistics.median(ordered):.1f} ms, from {ordered[0]:.1f} to {ordered[-1]:.1f} ms")


@pytest.mark.slow
@pytest.mark.timed
def test_submit_returns_while_the_agent_sleeps_and_its_cursor_is_before_the_prompt(store: ChatStore) -> None:
    awake = threading.Event()

    def agent(history: History, prompt: str) -> str:
        assert awake.wait(SECONDS)
        return history.append_assistant_message(f"re: {prompt}").text

    times = []
    handles = []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        handles.append(store.submit(agent, f"prompt {number}", context="submitted"))
        times.append(time.perf_counter() - begun)
    print_times("sync", times)
    for number, handle in enumerate(handles):
        with handle.history.subscribe(after=handle.cursor, timeout=SECONDS) as changes:
            check_submit(next(changes), f"prompt {number}", handle.run.id)
    awake.set()
    assert [handle.result(SECONDS) for handle in handles] == [f"re: prompt {number}" for number in range(ROUNDS)]
    assert statistics.median(times) < WITHIN


@pytest.mark.slow
@pytest.mark.timed
async def test_submit_on_an_event_loop_returns_while_the_agent_sleeps(async_store: AsyncChatStore) -> None:
    awake = asyncio.Event()

    async def agent(history: AsyncHistory, prompt: str) -> str:
        await awake.wait()
        return (await history.append_assistant_message(f"re: {prompt}")).text

    times = []
    handles = []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        handles.append(await async_store.submit(agent, f"prompt {number}", context="submitted"))
        times.append(time.perf_counter() - begun)
    print_times("async", times)
    for number, handle in enumerate(handles):
        async with handle.history.subscribe(after=handle.cursor, timeout=SECONDS) as changes:
            check_submit(await anext(changes), f"prompt {number}", handle.run.id)
    awake.set()
    results = [await handle.result(SECONDS) for handle in handles]
    assert results == [f"re: prompt {number}" for number in range(ROUNDS)]
    assert statistics.median(times) < WITHIN


def stream(history: History, prompt: str) -> None:
    """An agent that answers in two blocks, side by side with another's."""
    history.append_status_message(f"on it: {prompt}")
    with history.open_block("reasoning") as aside, history.open_message() as answer:
        for _ in range(50):
            aside.write(f"{prompt}? ")
            answer.write(f"{prompt}! ")
            answer.flush()


async def stream_async(history: AsyncHistory, prompt: str) -> None:
    await history.append_status_message(f"on it: {prompt}")
    async with history.open_block("reasoning") as aside, history.open_message() as answer:
        for _ in range(50):
            await aside.write(f"{prompt}? ")
            await answer.write(f"{prompt}! ")
            await answer.flush()


def test_two_submits_at_once_are_followed_apart_and_together_are_the_history(store: ChatStore) -> None:
    handles: list[Any] = []
    together = threading.Barrier(2)

    def submit(prompt: str) -> None:
        together.wait(SECONDS)
        handles.append(store.submit(stream, prompt, context="both"))

    threads = [threading.Thread(target=submit, args=(prompt,)) for prompt in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    parts = [[*handle.history.subscribe(run=handle.run.id, timeout=SECONDS)] for handle in handles]
    for part, handle in zip(parts, handles, strict=True):
        assert isinstance(part[0], RunStarted) and handle.wait(SECONDS).state == "completed"
    whole = [*store.history("both").subscribe(follow=False)]
    stored = [[*handle.history.subscribe(run=handle.run.id, follow=False)] for handle in handles]
    check_disjoint(stored, whole)
    assert [blocks_of(part) for part in parts] == [blocks_of(part) for part in stored]


async def test_two_submits_at_once_on_an_event_loop_are_followed_apart(async_store: AsyncChatStore) -> None:
    handles = await asyncio.gather(
        *(async_store.submit(stream_async, prompt, context="both") for prompt in ("one", "two"))
    )
    parts = await asyncio.gather(*(follow(handle.history, run=handle.run.id, timeout=SECONDS) for handle in handles))
    for handle in handles:
        ended = await handle.wait(SECONDS)
        assert ended is not None and ended.state == "completed"
    whole = await follow(async_store.history("both"), follow=False)
    stored = [await follow(handle.history, run=handle.run.id, follow=False) for handle in handles]
    check_disjoint(stored, whole)
    assert [blocks_of(part) for part in parts] == [blocks_of(part) for part in stored]


async def follow(history: AsyncHistory, **options: Any) -> list[Change]:
    return [change async for change in history.subscribe(**options)]


def blocks_of(changes: list[Change]) -> list[int]:
    """The blocks that changes add."""
    return [change.index for change in changes if isinstance(change, BlockAdded)]
