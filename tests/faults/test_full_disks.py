"""A disk without room, and a file that may not grow: nothing is acknowledged that is not stored, reads go on, and so do
writes as soon as there is room."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from data_support import report

from chatstore import ChatStore, StoreFull
from chatstore.databases.vacuuming import vacuum
from faults import processes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes, half of them taken."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", directory], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    (directory / "ballast").write_bytes(bytes(1_500_000))
    yield directory
    subprocess.run(["umount", directory], check=True)


def check(path: Path, answer: dict[str, Any]) -> None:
    """Another process's look at what was stored."""
    with ChatStore(path) as store:
        blocks = store.history("a").get_messages()
        assert [[block.index, block.text] for block in blocks] == answer["stored"]
        [streamed] = store.history("streamed").get_messages()
        assert (streamed.text, streamed.state) == (answer["streamed"], "closed")
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_full_disk_takes_nothing_back_and_writes_go_on_once_there_is_room(small_disk: Path) -> None:
    [answer] = processes.run("full_worker", path=small_disk / "chat.db", limit=None)
    check(small_disk / "chat.db", answer)
    report(f"a full disk: {answer['when_full']} blocks, then {answer['refused']}")
    assert answer["refused"] == ["StoreFull", "StoreFull"]


def test_a_vacuum_on_a_full_disk_is_refused_and_takes_nothing(small_disk: Path) -> None:
    path = small_disk / "chat.db"
    with ChatStore(path) as store:
        store.history("a").append_user_message("x")
        with closing(sqlite3.connect(path)) as conn:  # a log for whose copy there will be no room
            conn.execute("PRAGMA wal_autocheckpoint=0")
            conn.execute("CREATE TABLE other AS SELECT zeroblob(200000)")
            conn.commit()
        with suppress(OSError):
            (small_disk / "more").write_bytes(bytes(3_000_000))
        with pytest.raises(StoreFull):
            vacuum(path)
        (small_disk / "ballast").unlink()
        (small_disk / "more").unlink()
        vacuum(path)
        assert store.history("a").count() == 1


@pytest.mark.parametrize("limit", [400_000, 1_000_000])
def test_a_file_that_may_not_grow_is_no_other_matter(path: Path, limit: int) -> None:
    [answer] = processes.run("full_worker", path=path, limit=limit)
    check(path, answer)
    report(f"files of {limit:,} bytes at most: {answer['when_full']} blocks, then {answer['refused']}")
    assert set(answer["refused"]) <= {"StorageError", "StoreFull"}
    assert answer["when_full"] > 3
