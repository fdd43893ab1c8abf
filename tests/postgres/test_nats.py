"""Changes are heard by NATS, with no LISTEN, and a NATS server that goes away costs one warning and nothing else."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import other_processes
import postgres_server
import psycopg
import pytest
from nats_server import NatsServer, hears, serving, wait_until
from postgres_server import beside
from sqlalchemy.engine import make_url
from watching import Watcher

from chatstore import AsyncChatStore, ChatStore
from chatstore.databases.postgres.database import PostgresDatabase
from chatstore.testing.conformance.feeds import Feeds
from chatstore.testing.conformance.following import Following
from chatstore.testing.threaded import ThreadedChatStore

pytestmark = pytest.mark.slow

BOUND = 1.0
"""Seconds in which a change is seen without any notice."""

APPEND = """
import sys
from chatstore import ChatStore
url, wake, text = sys.argv[1:]
with ChatStore(url, wake=wake) as store:
    store.history("c").append_user_message(text)
"""


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks unasked within the time of a test: what is seen was heard."""
    monkeypatch.setattr(PostgresDatabase, "looks_every", 600.0)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def listening(url: str) -> int:
    """The connections of the store's database on which anybody listens, or told by NOTIFY."""
    with psycopg.connect(postgres_server.server(), autocommit=True) as conn:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
            " AND (application_name = 'chatstore listen' OR query ~ 'LISTEN|pg_notify')"
        )
        [(count,)] = conn.execute(query, [make_url(url).database]).fetchall()
    return int(count)


def test_another_process_is_heard_through_nats_alone(
    url: str, nats: NatsServer, no_looks: None, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatStore(url, wake=nats.url) as store, Watcher(store.history("c")) as one, Watcher(store) as all_of_it:
        wait_until(lambda: hears(store))
        for text in ("first", "second"):
            other_processes.run(APPEND, url, nats.url, text)
            assert one.text() == all_of_it.text() == text
        assert listening(url) == 0
        assert nats.connections() == ["chatstore"]
    wait_until(lambda: nats.connections() == [])
    assert warnings_of(caplog) == []


async def test_the_same_on_an_event_loop(url: str, nats: NatsServer, no_looks: None) -> None:
    by_name = nats.url.replace("127.0.0.1", "localhost")
    async with (
        AsyncChatStore(url, wake=by_name) as store,
        AsyncChatStore(beside(url), wake=f"nats://127.0.0.1:9,{by_name}") as other,  # a cluster with one that is away
        store.history("c").subscribe() as subscription,
    ):
        waited = asyncio.ensure_future(anext(subscription))
        await asyncio.to_thread(wait_until, lambda: hears(store))
        block = await other.history("c").append_user_message("heard")
        assert (await asyncio.wait_for(waited, 10)).block_id == block.id  # type: ignore[union-attr]
        assert listening(url) == 0


def test_a_store_has_one_connection_to_tell_and_to_hear_and_none_before_it_does(url: str, nats: NatsServer) -> None:
    with ChatStore(url, wake=nats.url) as store:
        assert store.contexts() == []
        assert nats.connections() == []
        with Watcher(store.history("a")) as first, Watcher(store.history("b")) as second, Watcher(store):
            wait_until(lambda: hears(store))
            store.history("a").append_user_message("told")
            store.history("b").append_user_message("told")
            assert (first.text(), second.text()) == ("told", "told")
            assert nats.connections() == ["chatstore"]
            assert sum(thread.name == "chatstore-nats" for thread in threading.enumerate()) == 1


@pytest.mark.timed
@pytest.mark.timeout(120)
def test_when_the_server_is_killed_and_comes_back_nothing_is_missed_and_that_is_said_once(
    url: str, nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatStore(url, wake=nats.url) as store, ChatStore(beside(url), wake=nats.url) as other:
        history = other.history("c")
        with Watcher(store.history("c")) as watcher, Watcher(store) as all_of_it:
            wait_until(lambda: hears(store))
            sent = []
            for turn in range(2):
                for number in range(5):  # the first of them while nobody knows yet
                    if number == 1:
                        nats.kill()
                    begun = time.monotonic()
                    sent.append(history.append_user_message(f"message {turn}.{number}").text)
                    assert watcher.text() == all_of_it.text() == sent[-1]
                    assert time.monotonic() - begun < 2 * BOUND
                wait_until(lambda turn=turn: len(warnings_of(caplog)) == 2 * (turn + 1))  # each of the stores
                nats.start()
                sent.append(history.append_user_message(f"message {turn} as it comes back").text)
                assert watcher.text() == all_of_it.text() == sent[-1]
                wait_until(lambda: hears(store) and len(nats.connections()) == 2)
    assert len(sent) == 12
    assert all("does not work" in said and nats.url in said for said in warnings_of(caplog))
    assert len(warnings_of(caplog)) == 4


@pytest.mark.timed
def test_where_there_is_no_server_changes_are_looked_for_and_it_closes_at_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "nats://me:s3cr3t@127.0.0.1:9"
    with ChatStore(url, wake=nowhere) as store, ChatStore(beside(url)) as other, Watcher(store.history("c")) as watcher:
        for number in range(3):
            begun = time.monotonic()
            other.history("c").append_user_message(f"message {number}")
            assert watcher.next()[1] - begun < BOUND
        wait_until(lambda: len(warnings_of(caplog)) > 0)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2 * BOUND
    [said] = warnings_of(caplog)
    assert "NATS at nats://127.0.0.1:9 does not work" in said
    assert "s3cr3t" not in caplog.text


class ByNats:
    """A part of the conformance suite, with notices by NATS."""

    @pytest.fixture
    def chatstore_url(self) -> Iterator[str]:
        url = postgres_server.new_store()
        yield url
        postgres_server.drop(url)

    other_chatstore_url = chatstore_url

    @pytest.fixture(autouse=True)
    def by_nats(self, nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: Any = type(self).opened  # type: ignore[attr-defined]
        monkeypatch.setattr(
            type(self), "open_store", staticmethod(lambda url, **options: opened(url, wake=nats.url, **options))
        )


class TestAsyncChatStoreByNats(ByNats, Following):
    opened = AsyncChatStore


class TestChatStoreByNats(ByNats, Feeds):
    opened = ThreadedChatStore
