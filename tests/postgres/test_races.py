"""What two processes do at the same moment, and what happens to those who are interrupted or close in the middle."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import other_processes
import psycopg
import pytest
from nats_server import wait_until
from postgres_server import beside

from chatstore import AsyncChatStore, ChatStore, Part
from chatstore.databases.postgres.database import PostgresDatabase
from chatstore.operations import leases, retaining
from chatstore.operations.prepared import driver
from chatstore.operations.transaction import Transaction

pytestmark = pytest.mark.slow

BYTES = b"the same bytes in two blocks"


class Pauses:
    """Lets the commits of the stores that are opened as `late` wait, once all but the COMMIT has reached the server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.waits, self.may = threading.Event(), threading.Event()
        commit = PostgresDatabase.commit

        def paused(database: PostgresDatabase, conn: Any, *told: Any) -> None:
            if self.on and "application_name=late" in database.location:
                driver(conn)._pipeline.sync()
                self.waits.set()
                assert self.may.wait(8)
            commit(database, conn, *told)

        monkeypatch.setattr(PostgresDatabase, "commit", paused)

    @contextmanager
    def during(self, write: Callable[[], object]) -> Iterator[None]:
        """While a write waits before its COMMIT; it goes on afterwards."""
        self.on = True
        writing = threading.Thread(target=write)
        writing.start()
        assert self.waits.wait(5)
        yield
        self.may.set()
        writing.join(10)
        self.on = False


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


def in_background(write: Callable[[], object]) -> threading.Thread:
    """Begins a write that has to wait for another; it has got as far as that."""
    thread = threading.Thread(target=write)
    thread.start()
    thread.join(0.5)
    return thread


@pytest.mark.parametrize("first", ["who refers to them", "who removes them"])
def test_bytes_are_not_removed_under_one_who_refers_to_them_now(url: str, pauses: Pauses, first: str) -> None:
    part = Part(type="file", mime_type="text/plain", content=BYTES)
    with ChatStore(url) as store, ChatStore(beside(url, "late")) as late:
        store.history("old").append_user_message("has them", parts=[part])

        def refer(by: ChatStore) -> None:
            by.history("new").append_user_message("has them too", parts=[part])

        def remove(by: ChatStore) -> None:
            by.history("old").erase()

        actions = (refer, remove) if first == "who refers to them" else (remove, refer)
        with pauses.during(lambda: actions[0](late)):
            second = in_background(lambda: actions[1](store))
        second.join(10)
        [block] = store.history("new").get_messages()
        assert store.read_bytes(block.parts[0]) == BYTES
        store.history("new").erase()
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT count(*) FROM chatstore.blobs").fetchone() == (0,)


def test_two_that_take_a_lease_away_end_what_was_open_once(url: str, pauses: Pauses) -> None:
    with ChatStore(url) as store, ChatStore(beside(url, "late")) as late:
        leave_open(url)
        [lease] = store._core.read(leases.all_leases)  # type: ignore[union-attr]

        def take(by: ChatStore) -> None:
            leases.take_away(by._core.committer.run, lease.id, lease.beats)  # type: ignore[union-attr]

        with pauses.during(lambda: take(late)):
            second = in_background(lambda: take(store))
            assert second.is_alive()
        second.join(10)
        changes = [type(one).__name__ for one in store.history("left").subscribe(follow=False)]
        [block] = store.history("left").get_messages()
        assert (block.state, block.text, changes.count("BlockClosed")) == ("interrupted", "half a sen", 1)
        assert store._core.read(leases.all_leases) == []  # type: ignore[union-attr]


def leave_open(url: str) -> None:
    """A process that dies with a block open."""
    other_processes.run(
        """
        import os, sys
        from chatstore import ChatStore
        writer = ChatStore(sys.argv[1]).history("left").open_block("message", role="assistant")
        writer.write("half a sen")
        writer.flush()
        os._exit(0)
        """,
        url,
    )


def test_a_lease_that_was_renewed_since_is_not_taken_away(url: str) -> None:
    with ChatStore(url) as store:
        writer = store.history("c").open_block("message", role="assistant")
        core = store._core
        assert core is not None
        held = core.lease.id
        assert held is not None
        assert leases.take_away(core.committer.run, held, beats=-1) == 0
        assert writer.close().state == "closed"


def test_what_a_process_opens_as_its_lease_is_taken_away_is_ended_too(url: str, pauses: Pauses) -> None:
    with ChatStore(url) as store, ChatStore(beside(url, "late")) as late:
        late.history("a").open_block("message", role="assistant")
        lease, core = late._core.lease.id, store._core  # type: ignore[union-attr]
        assert core is not None and lease is not None
        with pauses.during(lambda: late.history("b").open_block("message", role="assistant")):
            taking = in_background(lambda: leases.take_away(core.committer.run, lease))
            assert taking.is_alive(), "it waits for who opens something under the lease"
        taking.join(10)
        states = [store.history(one).get_messages()[0].state for one in ("a", "b")]
        assert states == ["interrupted", "interrupted"]


@pytest.mark.parametrize("contexts", ["ab", "ba"])
def test_the_place_up_to_which_changes_are_gone_never_goes_back(url: str, pauses: Pauses, contexts: str) -> None:
    with ChatStore(url) as store, ChatStore(beside(url, "late")) as late:
        for context in ("a", "b"):
            for number in range(4):
                store.history(context).append_user_message(f"{context} {number}")

        def prune(by: ChatStore, context: str) -> None:
            def write(transaction: Transaction) -> None:
                history = transaction.history(context)
                assert history is not None
                assert retaining._prune(transaction, history, retaining.Policy(1, None)) == 3

            by._core.committer.run(write)  # type: ignore[union-attr]

        with pauses.during(lambda: prune(late, contexts[0])):
            second = in_background(lambda: prune(store, contexts[1]))
        second.join(10)
        with psycopg.connect(url) as conn:
            place = "SELECT value::bigint FROM chatstore.store_info WHERE name = 'pruned'"
            kept = "SELECT min(id) FROM chatstore.changes GROUP BY history_id ORDER BY 1"
            (of_a,), (of_b,) = conn.execute(kept).fetchall()
            assert of_a < (conn.execute(place).fetchone() or (0,))[0] < of_b
        for context in ("a", "b"):
            assert [one.text for one in store.history(context).get_messages()] == [f"{context} 3"]


def test_an_interrupt_in_a_commit_leaves_nothing_half_done_and_nothing_twice(url: str) -> None:
    said = other_processes.run(
        """
        import os, random, signal, sys, threading
        from chatstore import ChatStore
        chance, armed, told, done = random.Random(5), False, [], threading.Event()
        def interrupt(*_):
            global armed
            if armed:
                armed = False  # a second signal would mean that nothing is to be waited for
                raise KeyboardInterrupt
        def keep_signalling():
            while not done.wait(chance.uniform(0.002, 0.03)):
                os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, interrupt)
        with ChatStore(sys.argv[1]) as store:
            history = store.history("c")
            def beside():
                for number in range(60):
                    told.append(history.append_user_message(f"beside {number}").text)
            neighbour = threading.Thread(target=beside)
            thread = threading.Thread(target=keep_signalling)
            neighbour.start(), thread.start()
            interrupted = 0
            for number in range(300):
                try:
                    armed = True
                    text = history.append_user_message(f"main {number}").text
                    armed = False
                    told.append(text)
                except KeyboardInterrupt:
                    interrupted += 1
            done.set()
            thread.join(), neighbour.join()
            stored = [block.text for block in history.get_messages(limit=1000)]
            assert len(stored) == len(set(stored)), "something is stored twice"
            assert set(told) <= set(stored), "something acknowledged is lost"
            assert sum(one.startswith("beside") for one in stored) == 60
            print(interrupted)
        """,
        url,
    )
    assert int(said) > 0


def test_a_store_that_closes_while_a_commit_waits_stores_it(url: str) -> None:
    store = ChatStore(url)
    stored: list[str] = []
    with psycopg.connect(url) as conn:
        conn.execute("LOCK TABLE chatstore.histories IN ACCESS EXCLUSIVE MODE")
        writing = in_background(lambda: stored.append(store.history("c").append_user_message("waits").text))
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
        wait_until(lambda: conn.execute(waits).fetchone() is not None)
        closing = in_background(store.close)
        assert writing.is_alive() and closing.is_alive()
        conn.rollback()
    closing.join(10)
    writing.join(10)
    assert stored == ["waits"]
    with ChatStore(url) as again:
        assert [block.text for block in again.history("c").get_messages()] == ["waits"]


@pytest.mark.timed
async def test_cancelled_appends_and_reads_leave_no_lock_and_no_connection(url: str) -> None:
    async with AsyncChatStore(url) as store, AsyncChatStore(beside(url)) as other:
        history = store.history("c")
        for number in range(60):
            task = asyncio.ensure_future(
                history.append_user_message(f"message {number}") if number % 2 else history.get_messages()
            )
            await asyncio.sleep(number / 10_000)
            task.cancel()
        begun = time.monotonic()
        await other.history("c").append_user_message("another's")
        await history.append_user_message("at last")
        assert time.monotonic() - begun < 2
        blocks = await history.get_messages(limit=200)
        assert [block.index for block in blocks] == list(range(len(blocks)))
