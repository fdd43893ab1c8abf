"""What an event loop may not be made to wait for, and who waits for a subscription."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from chatstore import AsyncChatStore, ChatStore, StoreClosed, UsageError


async def test_a_first_append_leaves_the_loop_free_while_a_thread_waits_for_the_lock(path: Path) -> None:
    with ChatStore(path) as store:
        async with AsyncChatStore(path) as async_store:
            await async_store.history("b").head()
            other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            waiting = threading.Thread(target=store.history("a").append_user_message, args=("x",))
            waiting.start()
            while not store._open().committer._lead.locked():
                await asyncio.sleep(0)
            append = asyncio.create_task(async_store.history("b").append_user_message("y"))
            for _ in range(3):
                await asyncio.sleep(0)  # with the loop held up, it is not the loop that gives the lock back
            other.execute("ROLLBACK")
            assert (await asyncio.wait_for(append, 10)).index == 0
            waiting.join(10)
            other.close()


async def test_a_second_task_on_one_subscription_is_refused(path: Path) -> None:
    async with AsyncChatStore(path) as store, store.history("a").subscribe() as changes:
        first = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        with pytest.raises(UsageError):
            await anext(changes)
        await store.history("a").append_user_message("x")
        assert (await asyncio.wait_for(first, 10)).cursor


def test_a_subscription_that_nobody_has_asked_yet_ends_as_its_store_closes(path: Path) -> None:
    store = ChatStore(path)
    history = store.history("a")
    history.append_user_message("x")
    subscriptions: list[Any] = [history.subscribe(), history.subscribe(after="now"), store.subscribe()]
    store.close()
    assert [[*subscription] for subscription in subscriptions] == [[], [], []]


async def test_so_it_does_on_an_event_loop(path: Path) -> None:
    store = AsyncChatStore(path)
    history = store.history("a")
    await history.append_user_message("x")
    subscriptions: list[Any] = [history.subscribe(), history.subscribe(after="now"), store.subscribe()]
    await store.close()
    for subscription in subscriptions:
        assert [change async for change in subscription] == []
        async with subscription:
            assert [change async for change in subscription] == []


async def test_so_it_does_before_its_store_was_opened_and_meanwhile(path: Path) -> None:
    store = AsyncChatStore(path)
    unasked, asked = store.history("a").subscribe(), store.subscribe()
    waiting = asyncio.ensure_future(anext(asked, None))
    await asyncio.sleep(0)  # it opens the store
    await store.close()
    assert [change async for change in unasked] == []
    assert await asyncio.wait_for(waiting, 10) is None
    with pytest.raises(StoreClosed):
        await anext(store.history("a").subscribe())
