"""Backups: whole, of one moment, a store of their own; nothing that is there is lost to one."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flipping import fill

from chatstore import AsyncChatStore, ChatStore, InvalidCursor, InvalidInput, StoreNotFound, StoreReplaced
from chatstore.databases.placing import place


def everything(store: ChatStore) -> dict:
    return {one.context_id: store.history(one.context_id).get_messages() for one in store.contexts()}


def without_cursors(stored: dict) -> dict:
    return {name: [block.model_dump(exclude={"cursor"}) for block in blocks] for name, blocks in stored.items()}


def test_a_backup_holds_all_that_is_stored_and_says_how_much(path: Path, tmp_path: Path) -> None:
    fill(path)
    target = tmp_path / "backup.db"
    told: list[tuple[int, int]] = []
    with ChatStore(path) as store:
        report = store.backup(target, progress=lambda done, total: told.append((done, total)))
        stored = without_cursors(everything(store))
    with ChatStore(target, create=False) as copy:
        assert without_cursors(everything(copy)) == stored
        assert copy.check().problems == ()
        assert report.identity == copy.identity
    assert (report.contexts, report.blocks) == (len(stored), sum(map(len, stored.values())))
    assert report.bytes == target.stat().st_size == told[-1][0] == told[-1][1]


async def test_an_async_store_is_backed_up_and_checked_alike(async_store: AsyncChatStore, tmp_path: Path) -> None:
    await async_store.history("c").append_user_message("Hi")
    report = await async_store.backup(tmp_path / "backup.db")
    assert (report.contexts, report.blocks) == (1, 1)
    assert (await async_store.check()).problems == ()


def test_a_cursor_of_the_store_is_refused_by_its_backup(store: ChatStore, tmp_path: Path) -> None:
    history = store.history("c")
    history.append_user_message("before")
    store.backup(tmp_path / "backup.db")
    later = history.append_user_message("after the backup").cursor
    with ChatStore(tmp_path / "backup.db") as copy:
        copy.history("c").append_user_message("something else in its place")
        with pytest.raises(InvalidCursor, match="another store"):
            copy.history("c").get_messages(after=later)


def test_only_its_owner_can_read_a_backup_and_no_log_lies_beside_it(store: ChatStore, tmp_path: Path) -> None:
    store.history("c").append_user_message("Hi")
    there = {*tmp_path.iterdir()}
    store.backup(tmp_path / "backup.db")
    assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600
    assert {*tmp_path.iterdir()} - there == {tmp_path / "backup.db"}


def test_what_is_at_the_target_stays_unless_it_may_go(store: ChatStore, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("something of somebody's")
    with pytest.raises(InvalidInput, match="already"):
        store.backup(target)
    assert target.read_text() == "something of somebody's"
    store.backup(target, overwrite=True)
    with ChatStore(target, create=False) as copy:
        assert copy.contexts() == []


def test_a_store_is_not_backed_up_over_itself(store: ChatStore, tmp_path: Path) -> None:
    store.history("c").append_user_message("Hi")
    (tmp_path / "link.db").symlink_to(store.path)
    (tmp_path / "hard.db").hardlink_to(store.path)
    for target in (store.path, tmp_path / "link.db", tmp_path / "hard.db"):
        with pytest.raises(InvalidInput, match="the store itself"):
            store.backup(target, overwrite=True)
    (tmp_path / "hard.db").unlink()
    assert store.history("c").count() == 1


def test_an_open_store_is_not_overwritten(store: ChatStore, tmp_path: Path) -> None:
    with ChatStore(tmp_path / "open.db") as other:
        other.history("c").append_user_message("Hi")
        with pytest.raises(InvalidInput, match="is open"):
            store.backup(other.path, overwrite=True)
        assert other.history("c").count() == 1


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", "-WAL"])
def test_what_lies_beside_a_database_is_no_target(store: ChatStore, tmp_path: Path, end: str) -> None:
    with ChatStore(tmp_path / "other.db") as other:
        other.history("c").append_user_message("Hi")
        for path in (store.path, other.path):
            (link := tmp_path / f"link{end}").symlink_to(f"{path}{end}")
            for target in (f"{path}{end}", link):
                for overwrite in (False, True):
                    with pytest.raises(InvalidInput, match=r"a part of the database .* beside it; name another file$"):
                        store.backup(target, overwrite=overwrite)
            link.unlink()
        assert other.history("c").count() == 1
    store.backup(tmp_path / f"alone{end}")


def test_a_backup_takes_its_name_also_where_files_have_only_one(
    store: ChatStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:  # what vfat says
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    store.backup(tmp_path / "backup.db")
    with ChatStore(tmp_path / "backup.db", create=False) as copy:
        assert copy.contexts() == []
    (new := tmp_path / "new").touch()
    with pytest.raises(InvalidInput, match="already"):  # it came up while the copy was made
        place(new, tmp_path / "backup.db", overwrite=False)


def test_targets_that_cannot_be_are_refused(store: ChatStore, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="make the directory"):
        store.backup(tmp_path / "nowhere" / "backup.db")
    with pytest.raises(InvalidInput, match="is a directory"):
        store.backup(tmp_path)


@pytest.mark.parametrize("progress", [5, "x", AsyncChatStore.close])
async def test_progress_is_told_to_functions_only(path: Path, tmp_path: Path, progress: Any) -> None:
    with ChatStore(path) as store:
        for wrong in (
            lambda: store.backup(tmp_path / "b.db", progress=progress),
            lambda: store.check(progress=progress),
        ):
            with pytest.raises(InvalidInput, match="progress= takes a function"):
                wrong()
    async with AsyncChatStore(path) as other:
        for wrong in (other.backup(tmp_path / "b.db", progress=progress), other.check(progress=progress)):
            with pytest.raises(InvalidInput, match="progress= takes a function"):
                await wrong
    assert not (tmp_path / "b.db").exists()


def test_a_backup_that_fails_leaves_nothing(store: ChatStore, tmp_path: Path) -> None:
    there = {*tmp_path.iterdir()}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.backup(tmp_path / "backup.db", progress=stop)
    assert {*tmp_path.iterdir()} == there


def test_a_store_that_was_replaced_is_not_backed_up_as_the_one_that_was_opened(tmp_path: Path) -> None:
    for name in ("first.db", "second.db"):
        ChatStore(tmp_path / name).close()
    with ChatStore(tmp_path / "first.db") as store:
        (tmp_path / "second.db").replace(tmp_path / "first.db")
        with pytest.raises(StoreReplaced):
            store.backup(tmp_path / "backup.db")
    assert not (tmp_path / "backup.db").exists()


def test_a_backup_does_not_change_what_it_copies(store: ChatStore, tmp_path: Path) -> None:
    store.history("c").append_user_message("Hi")
    with closing(sqlite3.connect(store.path)) as conn:
        before = conn.execute("SELECT * FROM store_info").fetchall()
        store.backup(tmp_path / "backup.db")
        assert conn.execute("SELECT * FROM store_info").fetchall() == before
