"""A store whose file is removed or replaced while it is open: an error that says so, and never an empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore import ChatStore, StorageError, StoreReplaced


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def test_a_store_made_anew_at_the_path_is_another_one(path: Path) -> None:
    with ChatStore(path) as old:
        old.history("a").append_user_message("old")
        remove(path)
        with ChatStore(path) as new:
            assert new.identity != old.identity
            assert new.history("a").append_user_message("new").index == 0
        with ChatStore(path) as again:
            assert [block.text for block in again.history("a").get_messages()] == ["new"]


def test_a_follower_is_told_that_its_file_is_gone(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("a")
        history.append_user_message("x")
        with history.subscribe() as changes:
            next(changes)
            remove(path)
            with pytest.raises(StoreReplaced):
                next(changes)


def test_a_read_of_a_removed_file_leaves_nothing_at_the_path(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("a").append_user_message("x")
        remove(path)
        with pytest.raises(StorageError):
            store._open().database.readers.dispose()  # so that the read opens the file anew
            store.history("a").count()
        assert not path.exists()
