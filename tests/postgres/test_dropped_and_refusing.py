"""A store that is dropped under those who have it open, and a server that takes no writes."""

from __future__ import annotations

import threading

import psycopg
import pytest
from postgres_server import beside

from chatstore import ChatStore, StoreReplaced
from chatstore.errors import InvalidInput, StoreReadOnly
from chatstore.migrate import migrate

WITHIN = 30.0


def make_anew(url: str) -> None:
    """Drops the store, and makes another one in its place."""
    with psycopg.connect(beside(url)) as conn:
        conn.execute("DROP SCHEMA chatstore CASCADE")
    migrate(url)


def test_nothing_is_acknowledged_into_a_store_that_was_made_anew(url: str) -> None:
    with ChatStore(url) as store:
        store.history("c").append_user_message("before")
        make_anew(url)
        with pytest.raises(StoreReplaced, match="was dropped"):
            store.history("c").append_user_message("after")
    with ChatStore(url) as store:
        assert store.contexts() == []


def test_who_follows_is_told_that_the_store_was_made_anew(url: str) -> None:
    told: list[type[Exception]] = []
    with ChatStore(url, wake="poll") as store:
        store.history("c").append_user_message("before")
        begun = threading.Event()

        def follow() -> None:
            try:
                for _ in store.history("c").subscribe():
                    begun.set()
            except Exception as error:
                told.append(type(error))

        follower = threading.Thread(target=follow)
        follower.start()
        assert begun.wait(WITHIN)
        make_anew(url)
        with psycopg.connect(beside(url)) as conn:  # whatever moves the server
            conn.execute("CREATE TABLE public.other (n int)")
        follower.join(WITHIN)
        assert not follower.is_alive()
    assert told and issubclass(told[0], Exception)
    assert told[0].__name__ in ("StoreReplaced", "StoreDamaged")  # the tables were gone for a moment


def test_a_server_that_takes_no_writes_is_told_from_a_busy_one(url: str) -> None:
    with psycopg.connect(beside(url), autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {conn.info.dbname} SET default_transaction_read_only = on")
    with ChatStore(url, busy_timeout=0.1) as store:
        with pytest.raises(StoreReadOnly, match="default_transaction_read_only"):
            store.history("c").append_user_message("hello")
        assert store.history("c").get_messages() == []


@pytest.mark.parametrize("schema", ["information_schema", "pg_catalog", "pg_mine", "select", "user", "order"])
def test_schemas_of_the_server_and_words_of_sql_are_refused(url: str, schema: str) -> None:
    sign = "&" if "?" in url else "?"
    with pytest.raises(InvalidInput, match="cannot name a schema"):
        ChatStore(f"{url}{sign}schema={schema}")
    with pytest.raises(InvalidInput, match="cannot name a schema"):
        migrate(f"{url}{sign}schema={schema}")
