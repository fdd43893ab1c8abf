"""Pages of the log that are read while others write."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore import BlockAdded, BlockClosed, ChatStore, TextAppended
from chatstore.kinds import Selection
from chatstore.operations import histories, log


def test_a_page_goes_on_to_the_end_of_a_block_that_ended_while_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        cursors = store._open().cursors
        with store.history("c").open_message() as block:
            for text in ("a", "b"):
                block.write(text)
                block.flush()
            before = store._read(lambda conn: histories.find(conn, "c"))
            block.write("c")
        monkeypatch.setattr(histories, "find", lambda *_: before)  # the head as it was, and what followed as it is
        page = store._read(lambda conn: log.log(conn, "c", cursors, Selection(), after=0, limit=10))
    added, closed = [entry.change for entry in page.entries]
    assert isinstance(added, BlockAdded)
    assert isinstance(closed, BlockClosed)
    assert (closed.block.text, page.position, page.head) == ("abc", 4, 4)


def test_news_are_all_that_was_written_and_pieces_of_open_blocks_alone(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        cursors, history = store._open().cursors, store.history("c")
        with history.open_message() as block:
            block.write("whole")
            block.flush()
        growing = history.open_message()
        growing.write("half")
        growing.flush()
        page = store._read(lambda conn: log.news(conn, "c", cursors, after=0, limit=10))
        assert (page.position, page.head) == (5, 5)
        assert [(entry.sequence, type(entry.change)) for entry in page.entries] == [
            (1, BlockAdded),
            (3, BlockClosed),
            (4, BlockAdded),
            (5, TextAppended),
        ]
        much = store._read(lambda conn: log.news(conn, "c", cursors, after=0, limit=5))
        assert (much.entries, much.position, much.head) == ([], 0, 5)
        nothing = store._read(lambda conn: log.news(conn, "nobody", cursors, after=0, limit=5))
        assert (nothing.entries, nothing.position) == ([], 0)


def test_what_moved_is_told_by_context(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        for name in ("a", "b", "a"):
            store.history(name).append_user_message("x")
        assert store._read(lambda conn: log.moved(conn, 1)) == ({"a": 2, "b": 1}, 3)
        assert store._read(lambda conn: log.moved(conn, 3)) == ({}, 3)
