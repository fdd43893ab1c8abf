"""Nobody waits long for a change whose notice is lost, and those who wait for nothing ask for little."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import postgres_server
import psycopg
import pytest
from figures import report
from postgres_server import beside
from sqlalchemy.engine import make_url
from watching import Watcher

from chatstore import AsyncChatStore, ChatStore
from chatstore.cursor import context_mark
from chatstore.databases.postgres.listening import AGAIN
from chatstore.databases.postgres.notifying import channel_of

BOUND = 1.0
"""Seconds in which a change is seen without any notice."""
SUBSCRIBERS, WINDOW = 1_000, 30.0


@contextmanager
def asking(url: str) -> Iterator[Any]:
    """Asks the server about the store's database without connecting to that."""
    database = make_url(url).database
    with psycopg.connect(postgres_server.server(), autocommit=True) as conn:
        yield lambda query: conn.execute(query, [database]).fetchall()


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("watched", ["one context", "the store"])
def test_without_any_notice_a_change_is_seen_within_a_second(url: str, watched: str) -> None:
    with ChatStore(url, wake="none") as store, ChatStore(beside(url)) as other:
        history, chance = other.history("c"), random.Random(1)
        with Watcher(store.history("c") if watched == "one context" else store) as watcher:
            history.append_user_message("begin")
            watcher.next()
            delays = []
            for number in range(6):
                time.sleep(chance.uniform(0, 0.8))  # at any moment between two looks
                begun = time.monotonic()
                history.append_user_message(f"message {number}")
                delays.append(watcher.next()[1] - begun)
    report("without notices", watched=watched, longest=max(delays))
    assert max(delays) < BOUND


def test_a_change_whose_notice_is_lost_is_seen_while_notices_of_others_keep_coming(url: str) -> None:
    busy = f"somebody {context_mark('busy')}"
    over = threading.Event()

    def tell(identity: str) -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            while not over.wait(0.02):
                conn.execute("SELECT pg_notify(%s, %s)", [channel_of(identity), busy])

    with ChatStore(url) as store, ChatStore(beside(url), wake="nats://127.0.0.1:9") as unheard:
        telling = threading.Thread(target=tell, args=(store.identity,))
        with Watcher(store.history("c")) as watcher:
            unheard.history("c").append_user_message("first")
            watcher.next()
            telling.start()
            try:
                for number in range(3):
                    unheard.history("c").append_user_message(f"message {number}")
                    assert watcher.text() == f"message {number}"
            finally:
                over.set()
                telling.join()


@pytest.mark.slow
@pytest.mark.timed
def test_one_whose_listener_was_ended_sees_the_next_change_within_a_second_and_listens_again(url: str) -> None:
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE '%%pg_notify%%'"
    with ChatStore(url) as store, ChatStore(beside(url)) as other, asking(url) as ask:
        history = other.history("c")
        with Watcher(store.history("c")) as watcher:
            for number in range(4):
                history.append_user_message(f"message {number}")
                watcher.next()
                ended = ask(kill)  # the listener, and the notifier that would tell it
                begun = time.monotonic()
                history.append_user_message(f"message {number} unheard")
                assert watcher.next()[1] - begun < BOUND
                assert (True,) in ended


def test_listening_is_tried_soon_again_however_often_following_began_in_vain(url: str) -> None:
    with ChatStore(url, listen_url="postgresql://127.0.0.1:9/nowhere") as store:
        ear: Any = store._open().database.waker("auto")
        for _ in range(5):
            ear.close()
            ear.open()
        assert ear._again - time.monotonic() <= AGAIN
        ear.close()


@pytest.mark.slow
@pytest.mark.timed
def test_where_nobody_can_be_listened_to_that_is_said_once_and_changes_are_looked_for(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "postgresql://me:s3cr3t@127.0.0.1:9/database"
    with (
        ChatStore(url, listen_url=nowhere) as store,
        ChatStore(beside(url)) as other,
        Watcher(store.history("c")) as watcher,
    ):
        for number in range(3):
            begun = time.monotonic()
            other.history("c").append_user_message(f"message {number}")
            assert watcher.next()[1] - begun < BOUND
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "LISTEN does not work" in said
    assert "s3cr3t" not in said


def test_a_store_that_is_followed_as_a_whole_alone_is_followed_without_a_failure(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatStore(url) as store, ChatStore(beside(url)) as other, Watcher(store) as watcher:
        for number in range(3):
            other.history("c").append_user_message(f"message {number}")
            watcher.next()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_thousand_idle_subscribers_have_one_connection_that_listens_and_ask_less_than_twice_a_second(
    url: str,
) -> None:
    async with AsyncChatStore(url) as store, AsyncChatStore(beside(url)) as other:
        waiting = [asyncio.ensure_future(first(store.history(f"c {number}"))) for number in range(SUBSCRIBERS)]
        everything = asyncio.ensure_future(first(store))
        with asking(url) as ask:
            await settled(ask)
            before, begun = transactions(ask), time.monotonic()
            await asyncio.sleep(WINDOW)
            each_second = (transactions(ask) - before) / (time.monotonic() - begun)
            listening = ask(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'SELECT pg_notify%%'"
            )
        last = await other.history(f"c {SUBSCRIBERS - 1}").append_user_message("at last")
        assert (await waiting.pop()).block_id == last.id
        assert (await everything).block_id == last.id
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    report("idle subscribers", subscribers=SUBSCRIBERS, queries_a_second=each_second, listening=listening[0][0])
    assert listening == [(1,)]
    assert each_second <= 2


async def first(followed: Any) -> Any:
    async with followed.subscribe(after="now") as subscription:
        return await anext(subscription)


def transactions(ask: Any) -> int:
    return int(ask("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s")[0][0])


async def settled(ask: Any) -> None:
    """Waits until those who came have read what there is, and the server has counted it."""
    last, quiet = transactions(ask), 0
    while quiet < 6:  # a connection that nobody uses is counted after ten seconds
        await asyncio.sleep(2)
        now = transactions(ask)
        quiet = quiet + 1 if now - last < 10 else 0
        last = now
