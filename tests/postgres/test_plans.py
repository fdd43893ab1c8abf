"""A read costs what it gives, whatever the server believes the tables to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import postgres_server
import psycopg
import pytest
from psycopg import sql

from chatstore import BlockDraft, ChatStore, History, Tag

pytestmark = pytest.mark.slow

TURNS, STEPS = 1_000, 10
FEW = 50
AS_OFTEN = 12
"""Statements are prepared after five times, and planned for all values after five more."""
AT_MOST = 8 * FEW + 50
"""Rows that one read may look at: as many as it gives of each of three kinds, in their index and in their table, and
those that it gives once more."""


def _turns(history: History) -> None:
    for _ in range(TURNS // 100):
        turn = [BlockDraft(role="user", text="?"), *(_step(n) for n in range(STEPS - 2)), BlockDraft(role="assistant")]
        history.append(turn * 100)


def _step(number: int) -> BlockDraft:
    return BlockDraft(type="status", author=f"agent {number}", text=f"step {number}")


def _unknown(conn: psycopg.Connection[Any], store: ChatStore) -> None:
    """The server has never looked at the tables."""
    _turns(store.history("long"))


def _outdated(conn: psycopg.Connection[Any], store: ChatStore) -> None:
    """It looked when there were many contexts with little in each."""
    for number in range(300):
        store.history(f"other {number}").append(BlockDraft(role="user", text="!"))
    conn.execute("ANALYZE")
    _turns(store.history("long"))


def _known(conn: psycopg.Connection[Any], store: ChatStore) -> None:
    _turns(store.history("long"))
    conn.execute("ANALYZE")


def _last(history: History) -> int:
    return len(history.get_messages(last=FEW))


def _last_of_an_agent(history: History) -> int:
    return len(history.get_messages(kind="trace", authors=["agent 3"], last=FEW))


def _last_of_two_types(history: History) -> int:
    return len(history.get_messages(kind="trace", types=["message", "status"], last=FEW))


def _first(history: History) -> int:
    return len(history.get_messages(kind="trace", limit=FEW))


def _behind_a_cursor(history: History) -> int:
    cursor = history.get_messages(kind="trace", last=FEW + 1)[0].cursor
    return len(history.get_messages(kind="trace", after=cursor))


def _changes(history: History) -> int:
    cursor = history.get_messages(kind="trace", last=FEW + 1)[0].cursor
    return sum(1 for _ in history.subscribe(after=cursor, follow=False))


def _write(history: History) -> int:
    """As much as a read of one kind, which makes no more of them."""
    with history.open_message() as answer:
        answer.write("x")
    history.tag(answer.block.id, Tag(kind="seen", name="yes"))
    return FEW


READS = [_last, _last_of_an_agent, _last_of_two_types, _first, _behind_a_cursor, _changes, _write]


@pytest.mark.parametrize("state", [_unknown, _outdated, _known], ids=["unknown", "outdated", "known"])
def test_a_read_looks_at_hardly_more_than_it_gives(
    url: str, state: Callable[[psycopg.Connection[Any], ChatStore], None]
) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for table in ("blocks", "changes", "histories"):
            name = sql.Identifier("chatstore", table)
            conn.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(name))
        with ChatStore(url) as store:
            state(conn, store)
        for read in READS:
            before = _rows_looked_at(conn)
            with ChatStore(url) as store:
                history = store.history("long")
                given = [read(history) for _ in range(AS_OFTEN)]
            assert given == [FEW] * AS_OFTEN
            postgres_server.wait_for_others(conn)
            assert _rows_looked_at(conn) - before <= AS_OFTEN * AT_MOST, read.__name__


def _rows_looked_at(conn: psycopg.Connection[Any]) -> int:
    """What sessions that have ended looked at, in tables and in indexes."""
    row = conn.execute(
        "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)"
        " + (SELECT sum(idx_tup_read) + sum(idx_tup_fetch) FROM pg_stat_user_indexes)"
    ).fetchone()
    assert row is not None
    return int(row[0])
