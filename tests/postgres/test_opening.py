"""Opening a store on a server: what is there is told apart from what is not, quickly, and without a password."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from uuid import uuid4

import other_processes
import postgres_server
import psycopg
import pytest
from postgres_server import beside
from sqlalchemy.engine import make_url

from chatstore import ChatStore, ChatStoreError
from chatstore.databases import locate
from chatstore.databases.postgres.errors import translate_opening
from chatstore.errors import (
    InvalidInput,
    OpenError,
    SchemaTooOld,
    StoreBusy,
    StoreNotFound,
    StoreReadOnly,
    StoreUnavailable,
)
from chatstore.migrate import migrate
from chatstore.schema import SCHEMA_VERSION

QUICK = 5.0
SECRET = "s3cr3t%2F"


@pytest.fixture
def empty() -> Iterator[str]:
    url = postgres_server.empty_database()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def role(url: str) -> Iterator[str]:
    """A user who may read the store's tables, and no more."""
    name = f"reader_{uuid4().hex[:8]}"
    with psycopg.connect(url) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD 's3cr3t/'")
        conn.execute(f"GRANT USAGE ON SCHEMA chatstore TO {name}")
        conn.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA chatstore TO {name}")
    yield name
    with psycopg.connect(url) as conn:
        conn.execute(f"DROP OWNED BY {name}")
        conn.execute(f"DROP ROLE {name}")


def as_user(url: str, name: str, password: str | None = None) -> str:
    return make_url(url).set(username=name, password=password).render_as_string(hide_password=False)


def test_an_empty_database_is_told_with_the_command_that_makes_a_store(empty: str) -> None:
    with pytest.raises(StoreNotFound, match="chatstore migrate 'postgresql://"):
        ChatStore(empty)


def test_a_database_that_is_not_there_is_told(empty: str) -> None:
    url = make_url(empty).set(database="nowhere here")
    with pytest.raises(StoreNotFound, match=r"there is no database at .* make it: `createdb .*'nowhere here'`"):
        ChatStore(url.render_as_string(hide_password=False))


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("postgresql:///chat", "createdb chat"),
        ("postgresql://app:s3cr3t@db.example:6432/chat?schema=s", "createdb -h db.example -p 6432 -U app chat"),
        ("postgresql:///chat?host=/run/pg&port=6432&user=app", "createdb -h /run/pg -p 6432 -U app chat"),
    ],
)
def test_the_command_that_makes_a_database_is_whole(url: str, command: str) -> None:
    assert f"make it: `{command}`" in str(translate_opening(psycopg.errors.InvalidCatalogName(), str(locate(url))))


def test_an_older_format_is_told_with_the_command_that_brings_it_up_to_date(url: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE chatstore.store_info SET value = '0' WHERE name = 'format'")
    with pytest.raises(SchemaTooOld, match="chatstore migrate 'postgresql://"):
        ChatStore(url)


@pytest.mark.slow
def test_of_several_that_migrate_at_once_one_makes_the_store_and_all_succeed(empty: str) -> None:
    code = "import sys; from chatstore.migrate import migrate; print(migrate(sys.argv[1]))"
    command = [sys.executable, "-W", "error", "-c", code, empty]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in started)
    made, found = (0, SCHEMA_VERSION), (SCHEMA_VERSION, SCHEMA_VERSION)
    assert said == [str(made), *[str(found)] * 3]
    with ChatStore(empty) as store:
        assert store.contexts() == []


def test_a_database_of_another_encoding_is_refused_and_left_alone() -> None:
    name = f"chatstore_{uuid4().hex}"
    with psycopg.connect(postgres_server.server(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = postgres_server.url_of(name)
    for attempt in (migrate, ChatStore):
        with pytest.raises(OpenError, match="LATIN1"):
            attempt(url)
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT to_regnamespace('chatstore')").fetchone() == (None,)
    postgres_server.drop(url)


def test_a_wrong_password_is_told_quickly_and_never_shown(url: str, role: str) -> None:
    postgres_server.ask_for_password(role)
    with ChatStore(as_user(url, role, "s3cr3t/")) as store:
        assert store.contexts() == []
        assert "s3cr3t" not in f"{store!r} {store.location} {store._core!r} {store._core and store._core.options!r}"
    begun = time.monotonic()
    with pytest.raises(OpenError, match="password") as caught:
        ChatStore(as_user(url, role, "wr0ng"))
    assert time.monotonic() - begun < QUICK
    said = "".join(traceback.format_exception(caught.value))
    assert "wr0ng" not in said.replace('as_user(url, role, "wr0ng")', "")


def test_a_listen_url_is_not_shown_either(url: str) -> None:
    listen_url = url.replace("postgres:", f"postgres:{SECRET}")
    with ChatStore(url, listen_url=listen_url) as store:
        with pytest.raises(InvalidInput) as caught:
            ChatStore(url, listen_url=f"{listen_url}&connect_timeout=9")
        assert SECRET not in f"{caught.value} {store!r} {store._core and store._core.options!r}"


def test_no_server_is_told_quickly() -> None:
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        ChatStore(f"postgresql://me:{SECRET}@127.0.0.1:9/database")
    assert time.monotonic() - begun < QUICK


def test_who_may_only_read_reads(url: str, role: str) -> None:
    with ChatStore(url) as store:
        store.history("c").append_user_message("message")
    with ChatStore(as_user(url, role, "s3cr3t/")) as store:
        assert [block.text for block in store.history("c").get_messages()] == ["message"]
        with pytest.raises(StoreReadOnly):
            store.history("c").append_user_message("another")


def test_a_server_without_a_free_connection_is_told_quickly_and_waited_for_once_it_is_open(url: str, role: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"ALTER ROLE {role} CONNECTION LIMIT 2")
        full = [psycopg.connect(as_user(url, role, "s3cr3t/")) for _ in range(2)]
        begun = time.monotonic()
        with pytest.raises(StoreBusy, match="connections"):
            ChatStore(as_user(url, role, "s3cr3t/"), busy_timeout=1)
        assert time.monotonic() - begun < QUICK
        full.pop().close()
        with ChatStore(as_user(url, role, "s3cr3t/"), busy_timeout=1) as store:
            with pytest.raises(StoreBusy), store._core.database.readers.connect():  # type: ignore[union-attr]
                store.contexts()
            assert store.contexts() == []
        full.pop().close()


@pytest.mark.parametrize("limit", ["busy_timeout", "statement_timeout"])
def test_a_lock_of_somebody_else_is_waited_for_no_longer_than_was_said(url: str, limit: str) -> None:
    limited = make_url(url).update_query_dict({"options": "-c statement_timeout=500"})
    given = limited.render_as_string(hide_password=False) if limit == "statement_timeout" else url
    with ChatStore(given, busy_timeout=0.5 if limit == "busy_timeout" else 30.0) as store:
        history = store.history("c")
        history.append_user_message("first")
        with psycopg.connect(url) as conn:
            conn.execute("LOCK TABLE chatstore.histories IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            with pytest.raises(StoreBusy):
                history.append_user_message("second")
            assert time.monotonic() - begun < QUICK
            conn.rollback()
        assert history.append_user_message("third").index == 1


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_what_the_server_takes_for_the_usual_isolation_is_not_ours(url: str, isolation: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {make_url(url).database} SET default_transaction_isolation = '{isolation}'")
    with ChatStore(url) as store, ChatStore(beside(url)) as other:
        threads = [threading.Thread(target=append, args=(one, name)) for name, one in (("a", store), ("b", other)) * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [block.index for block in store.history("c").get_messages()] == list(range(80))


def append(store: ChatStore, name: str) -> None:
    for number in range(20):
        store.history("c").append_user_message(f"{name} {number}")


def test_two_stores_share_a_database(url: str) -> None:
    other_url = make_url(url).update_query_dict({"schema": "another"}).render_as_string(hide_password=False)
    assert migrate(other_url) == (0, SCHEMA_VERSION)
    with ChatStore(url) as store, ChatStore(other_url) as other:
        assert store.identity != other.identity
        store.history("c").append_user_message("here")
        other.history("c").append_user_message("there")
        other.history("d").append_user_message("there too")
        assert [block.text for block in store.history("c").get_messages()] == ["here"]
        assert [one.context_id for one in other.contexts()] == ["c", "d"]
        assert [one.block.text for one in other.subscribe(follow=False)] == ["there", "there too"]  # type: ignore[union-attr]


def test_a_forked_child_opens_the_store_again_and_leaves_the_parents_alone(url: str) -> None:
    said = other_processes.run(
        """
        import os, sys, warnings
        from chatstore import ChatStore, ForkedStore
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork
        url = sys.argv[1]
        with ChatStore(url) as store:
            history = store.history("c")
            history.append_user_message("parent")
            child = os.fork()
            if not child:
                try:
                    history.get_messages()
                except ForkedStore:
                    with ChatStore(url) as own:
                        own.history("c").append_user_message("child")
                    sys.exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            history.append_user_message("parent again")
            print([block.text for block in history.get_messages()])
        """,
        url,
    )
    assert said.splitlines() == ["7", "['parent', 'child', 'parent again']"]


def test_what_cannot_be_a_url_is_refused_without_showing_it() -> None:
    for wrong in (f"postgresql://me:{SECRET}@host:port/x", f"postgresql://me:{SECRET}@host"):
        with pytest.raises(ChatStoreError) as caught:
            ChatStore(wrong)
        assert SECRET not in str(caught.value)
