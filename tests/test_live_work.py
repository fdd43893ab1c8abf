"""What following costs, counted: what is done once for all subscriptions, and what is not done at all."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatstore import (
    AsyncChatStore,
    BlockAdded,
    Change,
    ChatStore,
    StoreClosed,
)
from chatstore.cursor import CursorFactory
from chatstore.kinds import Selection
from chatstore.live.follower import Follower
from chatstore.live.hub import TURNS, WAIT, Hub
from chatstore.live.tail import Batch
from chatstore.operations.log import LogPage
from chatstore.operations.rows import to_entry
from chatstore.schema import BLOCK_ADDED

MANY = 300


def hub_of(store: ChatStore | AsyncChatStore) -> Hub:
    assert store._core is not None
    return store._core.hub


def waiting(hub: Hub) -> int:
    """How many wait to be woken for their channel."""
    with hub._lock:
        views = [view for channel in hub._channels.values() for view in channel.waiting]
        return sum(len(waiters) for view in views for waiters in view._waiting.values())


async def reached(state: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not state():
            await asyncio.sleep(0.001)


@contextmanager
def calls(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[list[Any]]:
    """What a method of the running loop returned, each time it was called."""
    loop, given = asyncio.get_running_loop(), []
    original = getattr(loop, name)

    def spy(*values: Any, **named: Any) -> Any:
        given.append(original(*values, **named))
        return given[-1]

    with monkeypatch.context() as patch:
        patch.setattr(loop, name, spy)
        yield given


@pytest.mark.parametrize("filters", [[{}], [{}, {"kind": "transcript"}, {"roles": ["user"]}]])
async def test_a_change_is_built_once_and_wakes_a_loop_once_whatever_the_number_of_subscriptions(
    path: Path, monkeypatch: pytest.MonkeyPatch, filters: list[dict[str, Any]]
) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history("c")
        await history.append_user_message("first")
        given: list[Change] = []

        async def follow(number: int) -> None:
            async for change in history.subscribe(after="now", **filters[number % len(filters)]):
                given.append(change)

        # Before anybody waits: who is reminded to look, and looks as the change comes, is woken twice.
        hub_of(store)._next_turn = math.inf
        tasks = [asyncio.ensure_future(follow(number)) for number in range(MANY)]
        await reached(lambda: waiting(hub_of(store)) == MANY)
        with ChatStore(path) as sync_store, calls(monkeypatch, "call_soon_threadsafe") as wake_ups:
            appending = threading.Thread(target=sync_store.history("c").append_user_message, args=("second",))
            appending.start()
            await reached(lambda: len(given) == MANY)
            appending.join()
            assert len(wake_ups) == 1
        assert len({id(change) for change in given}) == 1
        last = (await history.get_messages())[-1]
        entry = partial(to_entry, BLOCK_ADDED, 3, last, CursorFactory(store.identity, "c"))
        with calls(monkeypatch, "call_soon_threadsafe") as wake_ups:
            hub_of(store).announce({"c": [entry]})  # as a commit on the loop's own thread does
            await reached(lambda: len(given) == 2 * MANY)
            assert wake_ups == []
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_who_waits_on_a_loop_holds_a_timer_only_for_a_timeout_of_its_own(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history("c")
        await history.append_user_message("first")
        subscriptions = [history.subscribe(after="now", timeout=60 if number % 3 == 0 else None) for number in range(9)]
        attributes = {*vars(subscriptions[0])}
        for subscription in subscriptions:
            await subscription.__aenter__()
        with calls(monkeypatch, "call_later") as timers:
            tasks = [asyncio.ensure_future(anext(subscription)) for subscription in subscriptions]
            while waiting(hub_of(store)) < len(tasks):
                await asyncio.sleep(0)
            assert sum(not timer.cancelled() for timer in timers) == 3
        assert {*vars(subscriptions[0])} == attributes  # one more would cost each of them a dictionary of its own
        await history.append_user_message("second")
        assert len({(await task).cursor for task in tasks}) == 1


async def test_a_subscription_that_has_not_begun_says_where_it_will(path: Path) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history("c")
        cursor = (await history.append_user_message("x")).cursor
        assert [history.subscribe(after=after).cursor for after in (None, "now", cursor)] == [None, None, cursor]
        assert store.subscribe().cursor is None
        async with history.subscribe(after="now") as begun:
            assert begun.cursor == cursor


async def test_everyone_who_waits_is_made_to_look_again_within_so_many_turns(path: Path) -> None:
    async with AsyncChatStore(path) as store:
        hub = hub_of(store)
        count = TURNS + 10
        tasks = [asyncio.ensure_future(anext(store.history(f"c{number}").subscribe())) for number in range(count)]
        await reached(lambda: waiting(hub) == count)
        with hub._lock:
            turns = hub._take_turns()
            woken = [[waiter for group in next(turns) for waiter in group.waiters] for _ in range(TURNS)]
        assert len({id(waiter) for turn in woken for waiter in turn}) == sum(map(len, woken)) == count
        assert max(map(len, woken)) == 2
        for waiter in [waiter for turn in woken for waiter in turn]:
            waiter.wake()
        await reached(lambda: waiting(hub) == count)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def test_a_hub_that_is_closed_takes_nobody_and_starts_nothing(path: Path) -> None:
    class Waiting:
        loop = None

        def wake(self, batch: Batch | None = None) -> None:
            raise AssertionError("nobody waits")

    with ChatStore(path) as store:
        hub, waiter = hub_of(store), Waiting()
        view, thread = hub.join("c", Selection()), hub._thread
        hub.close()
        for ask in (
            lambda: hub.join("c", Selection()),
            lambda: hub.listen(waiter),
            lambda: hub.behind(view, 0, waiter),
        ):
            with pytest.raises(StoreClosed):
                ask()
        assert hub._thread is thread
        assert not any(one.name == "chatstore-hub" for one in threading.enumerate())


def test_what_weighs_too_much_to_be_handed_over_moves_the_end_of_a_channel(path: Path) -> None:
    with ChatStore(path) as store:
        hub = hub_of(store)
        view = hub.join("c", Selection())
        with hub._lock:
            view.channel.skip_to(0)
        for head in (1, 3):
            hub.add(view.channel, LogPage([], head - 1, head))
            assert (view.channel.head, view.channel.base, view.channel.behind(head - 1)) == (head, head, None)


def test_what_was_written_meanwhile_is_given_before_a_timeout_ends_it(path: Path) -> None:
    with ChatStore(path) as store, store.history("c").subscribe(timeout=0) as changes:
        for number in (1, 2, 3):
            block = store.history("c").append_user_message(str(number))
            assert next(changes).cursor == block.cursor
        assert list(changes) == []


def test_who_has_read_further_than_the_channel_waits(path: Path) -> None:
    with ChatStore(path) as store:
        hub = hub_of(store)
        hub._next_turn = math.inf  # nobody is made to look again
        view = hub.join("c", Selection())
        changes = store.history("c").subscribe()
        for position in (0, 3):  # the window opens here, and the database is read once more
            assert hub.behind(view, position, changes) is None
        assert hub.behind(view, 3, changes) is WAIT
        with store.history("c").subscribe() as other:
            assert hub.behind(view, 5, other) is WAIT  # the window stays with who waits for it
            assert waiting(hub) == 2
            hub.forget(view, other)
        hub.forget(view, changes)
        assert (waiting(hub), view.channel.waiting) == (0, set())


def test_subscriptions_with_one_selection_share_what_follows_a_position(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        history.append_user_message("first")
        hub = hub_of(store)
        first, second = hub.join("c", Selection()), hub.join("c", Selection())
        other = hub.join("c", Selection(roles=frozenset({"user"})))
        assert first is second
        assert first.channel is other.channel
        with hub._lock:
            first.channel.skip_to(1)
        history.append_user_message("second")
        batch = first.behind(1)
        assert batch is not None
        assert second.behind(1) is batch
        selected = other.behind(1)
        assert selected is not None
        assert selected.ready[0][1] is batch.ready[0][1]


@pytest.mark.parametrize("leaves", [False, True], ids=["who opened it stays", "who opened it leaves"])
async def test_who_comes_to_a_window_that_another_just_opened_misses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    looks: list[object] = []
    look = Follower.look
    monkeypatch.setattr(Follower, "look", lambda self, marks=None: (looks.append(marks), look(self, marks))[1])
    async with AsyncChatStore(path) as store:
        history, other = store.history("c"), store.history("other")
        await history.append_user_message("first")
        async with other.subscribe() as beside, history.subscribe() as opener, history.subscribe() as second:
            idle = asyncio.create_task(anext(beside))  # the hub follows already
            await anext(opener), await anext(second)
            # Both have read the database, and neither has joined the channel: nobody is told of this.
            await history.append_user_message("meanwhile")
            before = len(looks)
            await reached(lambda: len(looks) > before + 1)  # and the hub has seen to that commit
            first = asyncio.create_task(anext(opener))
            coming = asyncio.create_task(anext(second))
            await asyncio.sleep(0)
            if leaves:
                first.cancel()
            async with asyncio.timeout(20):
                change = await coming
            assert isinstance(change, BlockAdded) and change.block.text == "meanwhile"
            assert leaves or await first == change
            idle.cancel()
