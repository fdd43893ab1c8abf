"""The connections that a process has, counted by the server: what docs/scaling.md says of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import postgres_server
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from chatstore import AsyncChatStore, ChatStore
from chatstore.core import Core

pytestmark = pytest.mark.slow

AT_ONCE = 60
"""Reads at once: more than there are connections for."""


@pytest.fixture
def count(url: str) -> Iterator[Callable[[], int]]:
    """How many connections the store's database has, without the one that asks."""
    with psycopg.connect(postgres_server.server(), autocommit=True) as conn:

        def connections() -> int:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
            [(found,)] = conn.execute(asked, [make_url(url).database]).fetchall()
            return int(found)

        yield connections


def soon(count: Callable[[], int], expected: int) -> None:
    """A connection that is closed is there for a moment yet."""
    deadline = time.monotonic() + 60
    while count() != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count() == expected


def settled(count: Callable[[], int]) -> None:
    """Waits until nobody reads any more: 8 readers are kept beside one each to follow, write and listen."""
    deadline = time.monotonic() + 60
    while count() != 11 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert count() == 11


def test_a_process_takes_one_to_read_one_to_write_one_to_tell_and_one_to_listen(
    url: str, count: Callable[[], int]
) -> None:
    with ChatStore(url) as store:
        history = store.history("c")
        soon(count, 1)  # opening reads
        history.append_user_message("a lone append tells by the connection that it writes by")
        soon(count, 2)
        deadline = time.monotonic() + 120
        while count() != 3:  # one of the next comes within 2 ms of the last, and a thread tells
            assert time.monotonic() < deadline
            for _ in range(20):
                history.append_user_message("more")
        with history.subscribe(after="now") as changes:
            follower = threading.Thread(target=next, args=(changes, None))
            follower.start()
            while count() != 5:  # one that listens, and one that reads for all who follow: a read finds it taken
                assert time.monotonic() < deadline
                history.count()
            changes.close()
            follower.join()
    soon(count, 0)


@pytest.mark.slow
def test_a_thousand_subscribers_keep_no_more_than_what_reads_take(url: str, count: Callable[[], int]) -> None:
    async def follow() -> None:
        async with AsyncChatStore(url) as store:
            await store.history("c0").append_user_message("the first")
            waiting = [store.history(f"c{number}").subscribe(after="now") for number in range(1_000)]
            tasks = [asyncio.create_task(anext(one)) for one in waiting]  # type: ignore[arg-type]
            await asyncio.to_thread(settled, count)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(follow())
    soon(count, 0)


def test_threads_that_read_take_24_at_most(url: str, count: Callable[[], int]) -> None:
    with ChatStore(url) as store, ExitStack() as taken:
        readers = _core(store).database.readers
        for _ in range(24):
            taken.enter_context(readers.connect()).execute(text("SELECT 1"))
        assert count() == 24
        threads = [threading.Thread(target=store.contexts) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert count() == 24  # they wait for one that comes back
        taken.close()
        for thread in threads:
            thread.join()
        soon(count, 8)  # what is kept


async def test_tasks_that_read_take_24_more(url: str, count: Callable[[], int]) -> None:
    async with AsyncChatStore(url) as store:
        await store.history("c").append_user_message("the first")
        most = 0
        for _ in range(20):
            reads = [asyncio.create_task(store.history("c").get_messages()) for _ in range(AT_ONCE)]
            await asyncio.sleep(0.005)
            most = max(most, await asyncio.to_thread(count))
            await asyncio.gather(*reads)
            await asyncio.to_thread(soon, count, 10)  # 8 readers are kept, beside one to write and one to tell
        assert 8 <= await asyncio.to_thread(count) <= most <= 1 + 1 + 1 + 24
    print("figure: connections of 60 reads at once:", most)


def _core(store: Any) -> Core:
    found = store._core
    assert isinstance(found, Core)
    return found
