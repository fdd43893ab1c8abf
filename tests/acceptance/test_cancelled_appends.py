"""Appends that are cancelled at any moment leave no lock, no transaction, no half of a batch."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from checker import check_numbers, read_all
from children import running, script
from figures import report

from chatstore import AsyncChatStore, Block, BlockDraft, ChatStore, core

AT_ONCE = 25
"""Appends under way at the same time; after each such wave another writer has to get in."""

counts = pytest.mark.parametrize(
    "count", [100, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)


def batch(number: int) -> list[BlockDraft]:
    return [BlockDraft(role="user", text=f"{number}.{part}") for part in range(3)]


async def append_or_be_cancelled(store: AsyncChatStore, number: int, rng: random.Random) -> list[Block] | None:
    """One append, cancelled after some turns of the loop or some milliseconds; its answer if it had one."""
    task = asyncio.ensure_future(store.history(f"c{number % 3}").append(batch(number), key=f"key {number}"))
    if rng.random() < 0.5:
        for _ in range(rng.randint(0, 6)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(rng.expovariate(1 / 0.004))
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


def write_beside(path: Path) -> None:
    """Takes the write lock as another program would. What renews a lease or begins the log anew holds it for a moment;
    one that was left behind stays."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("ROLLBACK")


async def cancel_many(path: Path, count: int, *, contended: bool) -> tuple[dict[int, list[Block]], int]:
    """The appends that were answered all the same, and how many were stored when everyone had been cancelled."""
    rng = random.Random(count)
    answered: dict[int, list[Block]] = {}
    async with AsyncChatStore(path) as store:
        for first in range(0, count, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            outcomes = await asyncio.gather(*(append_or_be_cancelled(store, number, rng) for number in numbers))
            answered |= {number: blocks for number, blocks in zip(numbers, outcomes, strict=True) if blocks}
            await asyncio.wait_for(store.history("barrier").append_status_message("here"), 20)
            if not contended:
                write_beside(path)
        stored = sum([await store.history(f"c{place}").count() for place in range(3)])
        for number in range(count):
            blocks = await store.history(f"c{number % 3}").append(batch(number), key=f"key {number}")
            assert answered.setdefault(number, blocks) == blocks
        assert store._readers is not None and store._core is not None
        assert store._readers.sync_engine.pool.checkedout() == 0
        assert store._core.database.readers.pool.checkedout() == 0
        assert not store._core.database.in_transaction(store._core.committer._writer._conn)
    return answered, stored


@counts
@pytest.mark.parametrize("contended", [False, True], ids=["alone", "while another process holds the lock"])
def test_cancelled_appends_leave_no_lock_and_tear_no_batch(tmp_path: Path, count: int, contended: bool) -> None:
    path = tmp_path / "chat.db"
    ChatStore(path).close()
    holder = script("lock_holder", path=path, seed=count, longest=0.015)
    with running(holder):
        assert holder.answer() == "ready"
        if not contended:
            holder.tell("stop")
            holder.succeed()
        answered, stored = asyncio.run(cancel_many(path, count, contended=contended))
        if contended:
            holder.tell("stop")
            holder.succeed()
    write_beside(path)
    check_everything_once(path, count)
    assert core._cores == {}
    report("cancelled", appends=count, stored_before_the_retries=stored // 3, of=len(answered))


def check_everything_once(path: Path, count: int) -> None:
    """Every key gave its batch once, whole and together."""
    check_numbers(path)
    blocks = {context: history for context, history in read_all(path).items() if context != "barrier"}
    texts = Counter(block.text for history in blocks.values() for block in history)
    assert texts == {draft.text: 1 for number in range(count) for draft in batch(number)}
    for history in blocks.values():
        for place in range(0, len(history), 3):
            numbers = [block.text.split(".") for block in history[place : place + 3]]
            assert [part for _, part in numbers] == ["0", "1", "2"]
            assert len({number for number, _ in numbers}) == 1


@counts
def test_a_store_whose_opening_or_closing_is_cancelled_leaves_nothing_open(tmp_path: Path, count: int) -> None:
    path = tmp_path / "chat.db"
    ChatStore(path).close()
    rng = random.Random(count)

    async def use() -> None:
        async with AsyncChatStore(path) as store:
            await store.history("a").append_user_message("hello")
            await store.history("a").get_messages()

    async def main() -> None:
        for _ in range(count // 5):
            task = asyncio.ensure_future(use())
            await asyncio.sleep(rng.uniform(0, 0.02))
            task.cancel()
            await asyncio.wait([task], timeout=20)
            assert task.done()
        for _ in range(200):  # what a cancelled step left to a thread ends by itself
            if not core._cores:
                break
            await asyncio.sleep(0.05)

    asyncio.run(main())
    assert core._cores == {}, "a core stayed open"
    check_numbers(path)
