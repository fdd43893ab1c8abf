"""Pages of the log that are read while others write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from chatstore import BlockAdded, BlockClosed, BlockDraft, ChatStore, TextAppended
from chatstore.kinds import Selection
from chatstore.operations import feed, histories, log, places
from chatstore.operations.feed import Contexts, FeedPage
from chatstore.operations.log import LogPage
from chatstore.operations.weighing import ENOUGH


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


def paged(read: Callable[[int], LogPage | FeedPage]) -> list[tuple[int, bool]]:
    """Of each page, from the first to the last, how many changes it has and whether these weigh enough."""
    page = read(0)
    pages = [(len(page.entries), page.is_full)]
    while page.position < page.head:
        page = read(page.position)
        pages.append((len(page.entries), page.is_full))
    return pages


def test_a_page_ends_when_it_weighs_enough_and_the_next_goes_on(tmp_path: Path) -> None:
    heavy = "x" * (ENOUGH // 2 + 1)
    with ChatStore(tmp_path / "chat.db") as store:
        cursors, history, everything = store._open().cursors, store.history("c"), Selection()

        def of_history(conn: Connection, after: int) -> LogPage:
            return log.log(conn, "c", cursors, everything, after=after, limit=100)

        def of_store(conn: Connection, after: int) -> FeedPage:
            return feed.feed(conn, cursors, everything, Contexts(), after=after, limit=100)

        history.append([BlockDraft(text=heavy)] * 5)
        in_pairs = [(2, True), (2, True), (1, False)]
        assert paged(lambda after: store._read(partial(of_history, after=after))) == in_pairs
        assert paged(lambda after: store._read(partial(of_store, after=after))) == in_pairs
        growing = history.open_message()
        for _ in range(3):
            growing.write(heavy)
            growing.flush()
        pages = paged(lambda after: store._read(partial(of_history, after=max(after, 5))))
        assert pages == [(3, True), (1, False)], "the block, and two pieces of it and then one"


def test_news_that_weigh_too_much_are_the_head_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_NEWS", 1_000)
    with ChatStore(tmp_path / "chat.db") as store:
        cursors, history = store._open().cursors, store.history("c")
        history.append([BlockDraft(text="x" * 400)] * 2)
        light = store._read(lambda conn: log.news(conn, "c", cursors, after=0, limit=10))
        assert (len(light.entries), light.position, light.head) == (2, 2, 2)
        history.append_user_message("x" * 400)
        page = store._read(lambda conn: log.news(conn, "c", cursors, after=0, limit=10))
        assert (page.entries, page.position, page.head) == ([], 0, 3)


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
        assert store._read(lambda conn: places.moved(conn, 1)) == ({"a": 2, "b": 1}, 3)
        assert store._read(lambda conn: places.moved(conn, 3)) == ({}, 3)
