"""Stores that close while something keeps them from it: what is given back, and who waits for it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from held import locked, until

from chatstore import AsyncChatStore, ChatStore, StoreClosed, core


async def interrupting(store: AsyncChatStore) -> asyncio.Task[None]:
    """A close that has begun, and waits for the write lock to end what is open."""
    closing = asyncio.create_task(store.close())
    await asyncio.to_thread(until, (await store._open()).committer._lead.locked)
    return closing


async def test_a_close_that_is_cancelled_while_it_ends_what_is_open_closes_all_the_same(path: Path) -> None:
    store = AsyncChatStore(path, busy_timeout=20)
    block = await store.history("a").open_message()
    with locked(path):
        closing = await interrupting(store)
        closing.cancel()
        assert isinstance((await asyncio.gather(closing, return_exceptions=True))[0], asyncio.CancelledError)
    await asyncio.to_thread(until, lambda: not core._cores)
    await store.close()
    with ChatStore(path) as reopened:
        assert reopened.history("a").get_block(block.block.id).state == "interrupted"


async def test_a_second_close_waits_for_the_first(path: Path) -> None:
    async with AsyncChatStore(path, busy_timeout=20) as store:
        block = await store.history("a").open_message()
        with locked(path):
            closing = await interrupting(store)
            again = asyncio.create_task(store.close())
            assert await asyncio.wait([closing, again], timeout=0.1) == (set(), {closing, again})
        await asyncio.wait_for(again, 20)
        assert (core._cores, closing.done()) == ({}, True)
        del block


def test_a_store_that_closes_keeps_nobody_from_opening_another_and_who_opens_it_again_waits(tmp_path: Path) -> None:
    path, opened = tmp_path / "a.db", list[str]()

    def open_and_close(path: Path) -> None:
        with ChatStore(path) as other:
            opened.append(f"{Path(other.location).stem} {len(other.history('x').runs())}")

    with ChatStore(path, busy_timeout=20) as store:
        run = store.history("x").run().__enter__()
        closed, store._core = store._open(), None
        with locked(path):
            threads = [threading.Thread(target=core.release, args=(closed,), daemon=True)]
            threads[0].start()
            until(lambda: closed.hub._closed)  # what comes next, to give the lease back, waits for the lock
            for name in "ab":
                threads.append(threading.Thread(target=open_and_close, args=(tmp_path / f"{name}.db",), daemon=True))
                threads[-1].start()
            threads[2].join(10)
            assert opened == ["b 0"]
        for thread in threads:
            thread.join(20)
        assert opened == ["b 0", "a 1"]
        del run


def test_a_writer_whose_store_was_closed_says_so(path: Path) -> None:
    with ChatStore(path):  # what the stores of a file share stays open
        with ChatStore(path) as store:
            writer = store.history("a").open_message()
        with pytest.raises(StoreClosed):
            writer.write("d")


async def test_a_writer_of_a_loop_whose_store_was_closed_says_so(path: Path) -> None:
    async with AsyncChatStore(path) as store:
        writer = await store.history("a").open_message()
    with pytest.raises(StoreClosed):
        await writer.write("d")
