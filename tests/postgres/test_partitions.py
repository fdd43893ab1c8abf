"""What a store's tables are like on a server: every key begins with the history, and counters change in place."""

from __future__ import annotations

from collections.abc import Iterator

import postgres_server
import psycopg
import pytest

from chatstore import ChatStore, InvalidInput
from chatstore.migrate import migrate
from chatstore.schema import SCHEMA_VERSION

pytestmark = pytest.mark.slow

IN_PARTS = {"append_keys", "block_blobs", "blocks", "changes", "runs", "tags"}
LOCAL = {
    "store_info": "what the store says of itself: a few rows",
    "leases": "a row for each process",
    "blobs": "the bytes of parts, by their digest: histories share them",
    "context_keys": "the directory of contexts by their keys",
    "histories_context_id_key": "the directory of contexts by their names; all else of `histories` goes by its id",
}
"""Tables and indexes that are looked into before a history is known, or that belong to none."""
UNIQUE = """
    SELECT tables.relname, indexes.relname, attname
    FROM pg_index
    JOIN pg_class AS tables ON tables.oid = indrelid
    JOIN pg_class AS indexes ON indexes.oid = indexrelid
    JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
    WHERE tables.relnamespace = 'chatstore'::regnamespace AND indisunique AND NOT tables.relispartition
"""


@pytest.fixture(params=[0, 4])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    made = postgres_server.new_store(partitions=request.param)
    yield made
    postgres_server.drop(made)


@pytest.fixture
def parted() -> Iterator[str]:
    made = postgres_server.new_store(partitions=4)
    yield made
    postgres_server.drop(made)


def test_every_key_of_a_history_begins_with_it(url: str) -> None:
    with psycopg.connect(url) as conn:
        keys = conn.execute(UNIQUE).fetchall()
    assert {table for table, _, _ in keys} == {*IN_PARTS, "histories", *(LOCAL.keys() - {"histories_context_id_key"})}
    of_histories = [key for key in keys if not {key[0], key[1]} & LOCAL.keys()]
    assert {table for table, _, _ in of_histories} == {*IN_PARTS, "histories"}
    assert [key for key in of_histories if key[2] != ("id" if key[0] == "histories" else "history_id")] == []


def test_what_grows_with_histories_is_in_parts(parted: str) -> None:
    with psycopg.connect(parted) as conn:
        found = conn.execute(
            "SELECT parents.relname, count(*), min(pg_get_partkeydef(parents.oid)) FROM pg_inherits"
            " JOIN pg_class AS parents ON parents.oid = inhparent WHERE parents.relkind = 'p' GROUP BY 1"
        ).fetchall()
    assert {name: (count, key) for name, count, key in found} == dict.fromkeys(IN_PARTS, (4, "HASH (history_id)"))


def test_a_history_lies_in_one_part(parted: str) -> None:
    with ChatStore(parted) as store:
        for number in range(40):
            store.history(f"c{number}").append_user_message("x")
    with psycopg.connect(parted) as conn:
        rows = conn.execute("SELECT tableoid::regclass, history_id FROM chatstore.blocks").fetchall()
        plan = conn.execute("EXPLAIN SELECT * FROM chatstore.blocks WHERE history_id = 7").fetchall()
    assert (len(rows), len({part for part, _ in rows})) == (40, 4)
    assert "Append" not in str(plan)


def test_a_store_that_is_there_is_not_parted_and_a_file_is_not_at_all(parted: str, tmp_path: object) -> None:
    with pytest.raises(InvalidInput, match="chatstore copy"):
        migrate(parted, partitions=8)
    assert migrate(parted) == (SCHEMA_VERSION, SCHEMA_VERSION)
    with pytest.raises(InvalidInput, match="a file has none"):
        migrate(f"{tmp_path}/chat.db", partitions=8)
    with pytest.raises(InvalidInput, match="from 0"):
        migrate(parted, partitions=-1)


def test_counters_change_in_place(url: str) -> None:
    with ChatStore(url) as store:
        history = store.history("c")
        for number in range(500):
            history.append_user_message(str(number))
    with psycopg.connect(url, autocommit=True) as conn:
        postgres_server.wait_for_others(conn)  # as they leave, they tell what they counted
        conn.execute("SELECT pg_stat_force_next_flush()")
        options, size = conn.execute(
            "SELECT reloptions::text, pg_relation_size(oid) FROM pg_class WHERE oid = 'chatstore.histories'::regclass"
        ).fetchone() or ("", 0)
        updates, in_place = conn.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'chatstore.histories'::regclass"
        ).fetchone() or (0, 0)
    assert "fillfactor=50" in options
    assert updates >= 499
    assert in_place >= 0.95 * updates
    assert size <= 5 * 8192
