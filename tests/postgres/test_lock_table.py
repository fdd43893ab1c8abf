"""The locks of all clients of a server are in one table: a store leaves room in it, however many histories it writes.

Whoever finds that table full fails, other users of the server among them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import other_processes
import psycopg
import pytest
from data_support import report
from psycopg import errors, sql

from chatstore import AsyncChatStore, ChatStore

ROOM = 300
"""Places that others leave: far fewer than there are writes in one group."""
STEP = 500


@contextmanager
def crowded(url: str) -> Iterator[int]:
    """The table is full but for some room; how many locks are held by somebody else."""
    with psycopg.connect(url, autocommit=True) as conn:
        held = 0
        try:
            while True:
                conn.execute(
                    "SELECT pg_advisory_lock(one) FROM generate_series(%s::int, %s) one", [held, held + STEP - 1]
                )
                held += STEP
        except errors.OutOfMemory:
            conn.execute(
                "SELECT pg_advisory_unlock(one) FROM generate_series(%s::int, %s) one", [held - ROOM, held + STEP]
            )
        yield held - ROOM


@pytest.fixture(
    params=[1_500, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)])]
)
def contexts(request: pytest.FixtureRequest) -> int:
    return int(request.param)


async def test_a_burst_over_thousands_of_histories_needs_little_of_the_lock_table(
    url: str, contexts: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "chatstore.writing"), crowded(url) as held:
        async with AsyncChatStore(url) as store:
            began = time.monotonic()
            names = [f"context {number}" for number in range(contexts)]
            await asyncio.gather(*(store.history(name).append_user_message(name) for name in names))
            took = time.monotonic() - began
            assert [(await store.history(name).count()) for name in names[:: contexts // 50]] == [1] * 50
    assert [record.getMessage() for record in caplog.records] == []
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM chatstore.blocks").fetchone() == (contexts,)
    report(f"appends to {contexts:,} contexts at once, {held:,} locks held by others: {took:.1f} s, none refused")


@pytest.mark.slow
def test_what_a_process_left_open_in_thousands_of_histories_ends_in_a_crowded_server(url: str, contexts: int) -> None:
    other_processes.run(
        """
        import asyncio, os, sys
        from chatstore import AsyncChatStore

        async def work(url, contexts):
            async with AsyncChatStore(url) as store:
                opened = await asyncio.gather(*(store.history(f"context {n}").open_message() for n in range(contexts)))
                os._exit(0)

        asyncio.run(work(sys.argv[1], int(sys.argv[2])))
        """,
        url,
        contexts,
    )
    with crowded(url) as held:
        began = time.monotonic()
        with ChatStore(url), psycopg.connect(url) as conn:
            took = time.monotonic() - began
            query = sql.SQL("SELECT count(*) FROM chatstore.blocks WHERE state = 'interrupted'")
            assert conn.execute(query).fetchone() == (contexts,)
            assert conn.execute("SELECT count(*) FROM chatstore.leases").fetchone() == (0,)
    report(f"{contexts:,} open blocks of a dead process, {held:,} locks held by others: ended in {took:.1f} s")
