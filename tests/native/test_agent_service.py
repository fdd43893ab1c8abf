"""What Steamship's service was asked for, by `store.submit`: each row that is not tested where the promise is at home.

S2 (requests at once, followed apart) and S7 (nothing is open once it was waited for) are in the conformance suite and
in tests/acceptance/growing, too; S4, S5 and S11 of the captured history in tests/test_steamship.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chatstore import AsyncChatStore, AsyncHistory, Block, BlockAdded, ChatStore, History, RunEnded, Subscription

DEADLINE = 20


def answer(history: History, prompt: str) -> str:
    History.current().append_status_message("thinking", author="agent")
    call = history.append_function_call("search", {"text": prompt}, call_id="call_1")
    history.append_function_result("42", call=call)
    return history.append_assistant_message(iter(["It is ", "42."])).text


async def answer_async(history: AsyncHistory, prompt: str) -> str:
    await AsyncHistory.current().append_status_message("thinking", author="agent")
    return (await history.append_assistant_message("It is 42.")).text


def test_s1_submit_gives_the_run_the_history_and_where_this_request_begins(store: ChatStore) -> None:
    before = store.history("c").append_user_message("an earlier question")
    asleep = threading.Event()
    handle = store.submit(lambda history, prompt: asleep.wait(DEADLINE), "who?", context="c")
    assert handle.wait(0) is None  # it works on
    with handle.history.subscribe(after=handle.cursor, timeout=DEADLINE) as changes:
        first = next(changes)
    assert isinstance(first, BlockAdded)
    assert (first.block.role, first.block.text, first.block.run_id) == ("user", "who?", handle.run.id)
    assert handle.cursor >= before.cursor
    asleep.set()
    assert handle.result(DEADLINE) is True
    run = handle.wait(DEADLINE)
    assert run is not None and run.state == "completed"


async def test_s1_on_an_event_loop(async_store: AsyncChatStore) -> None:
    handle = await async_store.submit(answer_async, "who?", context="c")
    async with handle.history.subscribe(after=handle.cursor, timeout=DEADLINE) as changes:
        first = await anext(changes)
    assert isinstance(first, BlockAdded)
    assert (first.role, first.block.text) == ("user", "who?")
    assert await handle.result(DEADLINE) == "It is 42."


def test_s2_what_a_request_wrote_is_read_and_followed_by_its_run(store: ChatStore) -> None:
    handles = [store.submit(answer, prompt, context="c") for prompt in ("one", "two")]
    for handle in handles:
        handle.result(DEADLINE)
    parts = [handle.history.get_messages(run=handle.run.id) for handle in handles]
    assert [len(part) for part in parts] == [5, 5]
    assert sorted(block.index for part in parts for block in part) == [*range(10)]
    assert [part[0].text for part in parts] == ["one", "two"]


def test_s6_a_context_is_its_keys_as_a_whole_and_one_however_many_make_it(path: Path) -> None:
    with ChatStore(path) as store:
        store.history({"id": "c9", "user": "u"}).append_user_message("mine")
        assert store.history({"id": "c9"}).get_messages() == []  # Steamship's gives the other's file
        together = threading.Barrier(8)

        def make(number: int) -> None:
            with ChatStore(path) as own:
                together.wait(DEADLINE)
                own.submit(answer, f"{number}", context={"id": "raced"}).result(DEADLINE)

        threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert len(store.contexts(keys={"id": "raced"})) == 1
        assert sorted(block.text for block in store.history({"id": "raced"}).get_messages(roles=["user"])) == [
            *map(str, range(8))
        ]


def test_s6_without_a_context_the_id_that_was_made_is_known(store: ChatStore) -> None:
    one, other = (store.submit(answer, "who?") for _ in range(2))
    for handle in (one, other):
        assert handle.result(DEADLINE) == "It is 42."
        assert handle.history.get_messages() == store.history(handle.history.context_id).get_messages()
    assert one.history.context_id != other.history.context_id


def test_s7_who_waits_finds_nothing_open_and_who_does_not_sees_the_end(store: ChatStore) -> None:
    go_on = threading.Event()

    def agent(history: History, prompt: str) -> None:
        block = history.open_message()
        block.write("half a sen")
        block.flush()
        assert go_on.wait(DEADLINE)

    handle = store.submit(agent, "who?", context="c")
    with handle.history.subscribe(after=handle.cursor, run=handle.run.id, timeout=DEADLINE) as changes:
        go_on.set()
        assert isinstance([*changes][-1], RunEnded)
    run = handle.wait(DEADLINE)
    assert run is not None and run.state == "completed"
    assert handle.history.get_messages(run=run.id, states=["open"]) == []


@pytest.mark.parametrize("subscribers", [1, 3])
def test_s8_the_history_is_the_same_whoever_follows(tmp_path: Path, subscribers: int) -> None:
    alone, followed = (written(tmp_path / f"{number}.db", number) for number in (0, subscribers))
    assert alone == followed


def written(path: Path, subscribers: int) -> list[dict[str, Any]]:
    """What is stored of a turn that so many followed to its end, apart from what is made anew each time."""
    with ChatStore(path) as store, ExitStack() as stack:
        history = store.history("c")
        follow = [stack.enter_context(history.subscribe(timeout=DEADLINE)) for _ in range(subscribers)]
        threads = [threading.Thread(target=to_the_end, args=(one,)) for one in follow]
        for thread in threads:
            thread.start()
        store.submit(answer, "who?", context="c").result(DEADLINE)
        for thread in threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
        return [*map(lasting, history.get_messages())]


def to_the_end(changes: Subscription) -> None:
    for change in changes:
        if isinstance(change, RunEnded):
            return


def lasting(block: Block) -> dict[str, Any]:
    own = {"id", "run_id", "parent_id", "created_at", "updated_at", "cursor"}
    return {
        **block.model_dump(exclude=own),
        "in_run": block.run_id is not None,
        "has_parent": block.parent_id is not None,
    }


async def test_an_agent_that_fails_says_so_where_steamships_is_complete(async_store: AsyncChatStore) -> None:
    async def agent(history: AsyncHistory, prompt: str) -> None:
        raise IndexError("pop from empty list")

    handle = await async_store.submit(agent, "will fail", context="c")
    run = await asyncio.wait_for(handle.wait(), DEADLINE)
    assert run is not None and run.error is not None
    assert (run.state, run.error.type, run.error.message) == ("failed", "IndexError", "pop from empty list")


@pytest.fixture(autouse=True)
def no_thread_of_an_agent_is_left() -> Iterator[None]:
    before = {*threading.enumerate()}
    yield
    for thread in {*threading.enumerate()} - before:
        thread.join(DEADLINE)
