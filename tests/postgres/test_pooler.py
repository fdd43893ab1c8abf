"""Behind pgbouncer in transaction mode: LISTEN is found not to work, said once, and everything still arrives."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import postgres_server
import psycopg
import pytest
from pooler import pooler, through
from watching import Watcher

from chatstore import AsyncChatStore, ChatStore
from chatstore.testing.conformance.appending import Appending
from chatstore.testing.conformance.following import Following
from chatstore.testing.threaded import ThreadedChatStore

pytestmark = pytest.mark.slow

FAR = 3.0
"""Seconds in which a change has to arrive, at most."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pooler(postgres_server.server()) as port:
        yield port


@pytest.fixture
def pooled(url: str, port: int) -> Iterator[str]:
    """The store's URL through the pooler, which gives up its connections to it in the end."""
    yield through(url, port)
    database = url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(through(url, port).replace(database, "pgbouncer"), autocommit=True) as conn:
        conn.execute(f"KILL {database}")
        conn.execute(f"RESUME {database}")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.timed
def test_changes_arrive_and_that_listen_does_not_work_is_said_once(
    url: str, pooled: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with ChatStore(pooled) as store, ChatStore(url) as other:
        history = other.history("c")
        with Watcher(store.history("c")) as watcher:
            for number in range(3):  # in between it loses its connections, and has to begin again
                history.append_user_message(f"message {number}")
                assert watcher.text(FAR) == f"message {number}"
                history.append_user_message(f"message {number} again")
                assert watcher.text(FAR) == f"message {number} again"
                end_connections(url)
    said = [one for one in warnings_of(caplog) if "LISTEN" in one]
    assert len(said) == 1, warnings_of(caplog)
    assert "listen_url=" in said[0]


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_with_the_url_of_the_server_itself_it_listens(
    url: str, pooled: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncChatStore(pooled, listen_url=url) as store, AsyncChatStore(url) as other:
        await other.history("c").append_user_message("first")
        async with store.history("c").subscribe() as subscription:
            assert (await anext(subscription)).block.text == "first"  # type: ignore[union-attr]
            waited = asyncio.ensure_future(anext(subscription))
            assert store._core is not None
            while (waker := store._core.hub._waker) is None:
                await asyncio.sleep(0.01)
            assert waker.hears  # type: ignore[attr-defined]
            block = await other.history("c").append_user_message("second")
            assert (await waited).block_id == block.id  # type: ignore[union-attr]
    assert warnings_of(caplog) == []


def test_no_statement_is_prepared_behind_it(url: str, pooled: str) -> None:
    with ChatStore(pooled) as store:
        history = store.history("c")
        for number in range(12):  # psycopg prepares what it is given for the sixth time
            history.append_user_message(f"message {number}")
            assert len(history.get_messages()) == number + 1
        with psycopg.connect(postgres_server.server(), autocommit=True) as conn:
            pids = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database_of(url)])
            assert pids.fetchone() != (0,)
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as conn:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:  # whichever of the server's connections it is given
            assert conn.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


def database_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


class Through:
    """A part of the conformance suite over the pooler."""

    @pytest.fixture
    def chatstore_url(self, pooled: str) -> str:
        return pooled


class TestAsyncChatStoreBehindPgbouncer(Through, Appending):
    pass


class TestChatStoreBehindPgbouncer(Through, Following):
    open_store = ThreadedChatStore
