"""Pages of the log that are read while others write."""

from __future__ import annotations

from pathlib import Path

from chatstore import BlockAdded, BlockClosed, ChatStore
from chatstore.kinds import Selection
from chatstore.operations import log
from chatstore.operations.log import Stretch


def test_a_page_reaches_up_to_the_end_of_a_block_that_ended_while_it_was_read(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        core = store._open()
        with store.history("c").open_message() as block:
            for text in ("a", "b"):
                block.write(text)
                block.flush()
            (stretch,), _ = store._read(lambda conn: log.moved(conn, 0))
            block.write("c")
        page = store._read(lambda conn: log.read(conn, stretch, core.cursors, Selection(), limit=10))
    assert stretch == Stretch(1, "c", 0, 3, has_text=True)
    added, closed = [entry.change for entry in page.entries]
    assert isinstance(added, BlockAdded)
    assert isinstance(closed, BlockClosed)
    assert (closed.block.text, page.position, page.head) == ("abc", 4, 4)


def test_what_moved_is_told_by_context(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        for name in ("a", "b", "a"):
            store.history(name).append_user_message("x")
        moved, position = store._read(lambda conn: log.moved(conn, 1))
        assert sorted(moved, key=lambda stretch: stretch.context_id) == [
            Stretch(1, "a", 1, 2, has_text=False),
            Stretch(2, "b", 0, 1, has_text=False),
        ]
        assert store._read(lambda conn: log.moved(conn, position)) == ([], 3)
