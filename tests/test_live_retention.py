"""Following what retention removes meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from chatstore import BlockAdded, BlockDraft, ChatStore, Retain
from chatstore.errors import CursorExpired
from chatstore.kinds import Selection
from chatstore.operations import feed, log, reading
from chatstore.operations.feed import Contexts
from chatstore.operations.log import LogPage
from chatstore.operations.prepared import driver
from chatstore.operations.rows import Cursors


def test_who_is_overtaken_by_retention_is_told_and_nobody_else_is_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    script = (
        "import sys\n"
        "from chatstore import BlockDraft, ChatStore, Retain\n"
        "with ChatStore(sys.argv[1], retain=Retain(blocks=1)) as store:\n"
        "    for name in ('a', 'b'):\n"
        "        store.history(name).append([BlockDraft(text=str(n)) for n in range(5 if name == 'b' else 40)])\n"
        "    store.prune()\n"
    )
    with ChatStore(path, wake="none") as store:
        for name in ("a", "b"):
            store.history(name).append_user_message("before")
        seen, expired = [], False
        with store.history("a").subscribe(after="now", timeout=3) as overtaken:
            subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
            try:
                seen += [change.index for change in overtaken if isinstance(change, BlockAdded)]
            except CursorExpired:
                expired = True
        assert seen == list(range(1, 1 + len(seen)))  # no gap, however far it came
        assert expired or len(seen) == 40
        assert [change.index for change in store.history("b").subscribe(follow=False)] == [5]


def test_news_that_retention_has_removed_are_not_passed_over(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db", retain=Retain(blocks=1)) as store:
        blocks = store.history("a").append([BlockDraft(text=str(number)) for number in range(40)])
        assert store.prune() == 39
        cursors = store._open().cursors
        assert store._read(lambda conn: log.news(conn, "a", cursors, after=1, limit=128)) == LogPage([], 1, 40)
        page = store._read(lambda conn: log.news(conn, "a", cursors, after=39, limit=128))
        assert [entry.block for entry in page.entries] == blocks[-1:]


def _indexes_in_log(conn: Connection, cursors: Cursors) -> list[int]:
    page = log.log(conn, "a", cursors, Selection(), after=5, limit=100)
    return [entry.block.index for entry in page.entries if entry.block is not None]


def _indexes_in_feed(conn: Connection, cursors: Cursors) -> list[int]:
    page = feed.feed(conn, cursors, Selection(), Contexts(), after=5, limit=100)
    if page.pruned > 5:
        raise CursorExpired("as its subscription does", start=cursors("a").at(page.pruned))
    return [change.block.index for _, change in page.entries if isinstance(change, BlockAdded)]


def _indexes_of_messages(conn: Connection, cursors: Cursors) -> list[int]:
    found = reading.messages(conn, "a", cursors, Selection(), reading.Range(after=5))
    return [block.index for block in found]


@pytest.mark.parametrize("read", [_indexes_in_log, _indexes_in_feed, _indexes_of_messages])
def test_retention_between_any_two_statements_of_a_read_is_told(
    tmp_path: Path, read: Callable[[Connection, Cursors], list[int]]
) -> None:
    outcomes = []
    for moment in range(10):
        with ChatStore(tmp_path / f"{moment}.db", retain=Retain(blocks=1)) as store:
            store.history("a").append([BlockDraft(text=str(number)) for number in range(40)])
            cursors, seen = store._open().cursors, []

            def at_statement(text: str, seen: list[str] = seen, moment: int = moment, store: ChatStore = store) -> None:
                seen.append(text)
                if len(seen) == moment + 1:
                    store.prune()

            def watched(conn: Connection, cursors: Cursors = cursors) -> list[int]:
                driver(conn).set_trace_callback(at_statement)
                try:
                    return read(conn, cursors)
                finally:
                    driver(conn).set_trace_callback(None)

            try:
                outcomes.append(store._read(watched))
            except CursorExpired:
                outcomes.append(None)
    assert [*range(5, 40)] in outcomes
    assert None in outcomes
    assert all(found in ([*range(5, 40)], None) for found in outcomes), outcomes
