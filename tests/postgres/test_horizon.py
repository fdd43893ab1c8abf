"""The store's log is read up to the oldest transaction that may still write to it: none is skipped, however late."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty

import psycopg
import pytest
from children import running
from figures import report
from postgres_server import beside
from test_storm import CONTEXTS, storm, told_until
from watching import Watcher

from chatstore import BlockAdded, BlockDraft, ChatStore
from chatstore.databases.postgres.database import PostgresDatabase
from chatstore.operations.prepared import driver

SOON = 20.0


@pytest.fixture
def late(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A URL of the store over which every commit waits, once all of it has reached the server but for the COMMIT; that
    it does, and that it may go on."""
    waits, may = threading.Event(), threading.Event()
    commit = PostgresDatabase.commit

    def paused(self: PostgresDatabase, conn: object, *told: object) -> None:
        if "application_name=late" in self.location:
            driver(conn)._pipeline.sync()  # type: ignore[arg-type]
            waits.set()
            assert may.wait(60)
        commit(self, conn, *told)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresDatabase, "commit", paused)
    yield beside(url, "late"), waits, may
    may.set()


def test_what_commits_late_is_not_skipped(url: str, late: tuple[str, threading.Event, threading.Event]) -> None:
    late_url, waits, may = late
    with ChatStore(url) as store, ChatStore(late_url) as slow, Watcher(store) as everything:
        writing = threading.Thread(target=slow.history("slow").append_user_message, args=("begun first",))
        writing.start()
        assert waits.wait(20)
        with Watcher(store.history("quick")) as quick:
            store.history("quick").append_user_message("committed first")
            assert quick.text(SOON) == "committed first", "the log of one context does not wait for others"
            with pytest.raises(Empty):  # or what comes before it in the store's log would be skipped
                everything.next(1.0)
        may.set()
        writing.join()
        assert [everything.text(SOON), everything.text(SOON)] == ["begun first", "committed first"]
        assert list(read(store)) == ["begun first", "committed first"]


def read(store: ChatStore) -> list[str]:
    return [change.block.text for change in store.subscribe(follow=False) if isinstance(change, BlockAdded)]


@contextmanager
def idle_in_transaction(url: str) -> Iterator[None]:
    """A client of another kind, that wrote something and went for a coffee."""
    with psycopg.connect(url) as conn:
        conn.execute("CREATE TEMPORARY TABLE notes (text text)")
        yield
        conn.rollback()


def test_an_idle_transaction_of_somebody_else_delays_the_feed_and_only_the_feed(url: str) -> None:
    with ChatStore(url) as store, ChatStore(beside(url)) as other, Watcher(store) as everything:
        with idle_in_transaction(url), Watcher(store.history("c")) as one:
            block = other.history("c").append_user_message("meanwhile")
            assert one.text(SOON) == "meanwhile"
            assert [found.id for found in store.history("c").get_messages()] == [block.id]
            assert read(store) == []
            assert everything.nothing(1.0)
        assert everything.text(SOON) == "meanwhile"


@pytest.mark.slow
@pytest.mark.timed
def test_the_feed_goes_on_soon_after_the_transaction_that_it_waited_for(url: str) -> None:
    with ChatStore(url) as store, ChatStore(beside(url)) as other, Watcher(store) as everything:
        delays = []
        for number in range(5):
            with idle_in_transaction(url):
                other.history("c").append_user_message(f"message {number}")
                assert everything.nothing(0.15)
            begun = time.monotonic()
            delays.append(everything.next()[1] - begun)
        report("feed behind others", longest=max(delays))
        assert max(delays) < 0.4


@pytest.mark.slow
def test_contexts_are_in_the_order_of_the_store_as_four_processes_write(url: str) -> None:
    children = [
        storm(number, url, processes=4, subscribers=0, appends=80, streams=2, contexts=CONTEXTS) for number in range(4)
    ]
    with running(*children), ChatStore(url) as store:
        for child in children:
            assert child.answer() == "ready"
        for child in children:
            child.tell()
        with Watcher(store) as live:
            for child in children:
                told_until(child, "written")
                child.succeed()
            store.history(CONTEXTS[0]).append(BlockDraft(type="the end"))
            followed = list(until_the_end(live))
        logs = {context: list(store.history(context).subscribe(follow=False)) for context in CONTEXTS}
        afterwards = list(store.subscribe(follow=False))
    for told in (followed, afterwards):
        by_context = defaultdict(list)
        for change in told:
            if hasattr(change, "block"):
                by_context[change.context_id].append((type(change).__name__, change.block_id))
        assert by_context == {
            context: [(type(one).__name__, one.block_id) for one in log]  # type: ignore[union-attr]
            for context, log in logs.items()
        }


def until_the_end(live: Watcher) -> Iterator[object]:
    while True:
        change, _ = live.next(20)
        yield change
        if isinstance(change, BlockAdded) and change.block.type == "the end":
            return
