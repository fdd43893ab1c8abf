"""What is no store of this version, or is damaged: refused with what to do, and left byte for byte."""

from __future__ import annotations

import gzip
import os
import pickle
import random
import socket
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from other_processes import digests, run

from chatstore import (
    AsyncChatStore,
    BlockDraft,
    ChatStore,
    ChatStoreError,
    NotAStore,
    OpenError,
    SchemaTooNew,
    SchemaTooOld,
    StoreDamaged,
)

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


def make_store(path: Path) -> None:
    with ChatStore(path) as store:
        for name in ("a", "b"):
            store.history(name).append([BlockDraft(role="user", text="x" * 200) for _ in range(300)])


def make_other_database(path: Path, mode: str = "delete") -> None:
    with sqlite3.connect(path) as conn:
        conn.execute(f"PRAGMA journal_mode={mode}")
        conn.execute("CREATE TABLE blocks (id INTEGER PRIMARY KEY, text TEXT)")
        conn.execute("INSERT INTO blocks (text) VALUES ('theirs')")
    conn.close()


def change_header(path: Path, at: int, to: bytes) -> None:
    make_store(path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(to)


def make_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chat.db", b"hello" * 1000)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/cwd/{os.path.relpath(path)}" if len(str(path)) > 100 else str(path))


def make_from_log(path: Path, suffix: str) -> None:
    """One of SQLite's files beside a store, put in the store's place."""
    with ChatStore(path.with_name("other.db")) as store:
        store.history("a").append_user_message("x")
        run(
            "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])",
            path.with_name(f"other.db{suffix}"),
            path,
        )
    path.with_name("other.db").unlink()


def make_changed(path: Path, *statements: str) -> None:
    """A store that another program changed."""
    make_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for statement in statements:
            conn.execute(statement)


def make_second_name(path: Path) -> None:
    elsewhere = path.parent.with_name(f"{path.parent.name}-elsewhere")
    elsewhere.mkdir()
    make_store(elsewhere / "chat.db")
    path.hardlink_to(elsewhere / "chat.db")


FOREIGN: dict[str, tuple[Callable[[Path], object], type[ChatStoreError]]] = {
    "a directory": (lambda path: path.mkdir(), NotAStore),
    "a text file": (lambda path: path.write_text("hello\n" * 1000), NotAStore),
    "one byte": (lambda path: path.write_bytes(b"S"), NotAStore),
    "an empty file": (lambda path: path.touch(), NotAStore),
    "zeros": (lambda path: path.write_bytes(bytes(8192)), NotAStore),
    "a gzip file": (lambda path: path.write_bytes(gzip.compress(b"hello" * 1000)), NotAStore),
    "a picture": (lambda path: path.write_bytes(PNG), NotAStore),
    "a device": (lambda path: path.symlink_to("/dev/null"), NotAStore),
    "a pipe": (os.mkfifo, NotAStore),
    "another application's database": (make_other_database, NotAStore),
    "another application's database in WAL mode": (lambda path: make_other_database(path, "wal"), NotAStore),
    "an application id of another": (lambda path: change_header(path, 68, b"abcd"), NotAStore),
    "only SQLite's magic": (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(100)), ChatStoreError),
    "half a header": (lambda path: (make_store(path), os.truncate(path, 50)), ChatStoreError),
    "a flipped header": (lambda path: change_header(path, 0, b"\xac"), NotAStore),
    "a page size that is none": (lambda path: change_header(path, 16, b"\x03\x03"), ChatStoreError),
    "an older format": (lambda path: change_header(path, 60, bytes(4)), SchemaTooOld),
    "a newer format": (lambda path: change_header(path, 60, b"\0\0\x03\xe7"), SchemaTooNew),
    "the newest format there can be": (lambda path: change_header(path, 60, b"\x7f\xff\xff\xff"), SchemaTooNew),
    "a format below zero": (lambda path: change_header(path, 60, b"\xff\xff\xff\xff"), SchemaTooOld),
    "an archive": (make_archive, NotAStore),
    "a socket": (make_socket, NotAStore),
    "JSON Lines": (lambda path: path.write_text('{"role": "user"}\n' * 500), NotAStore),
    "a dump in SQL": (lambda path: path.write_text("CREATE TABLE blocks (id);\n" * 500), NotAStore),
    "UTF-16": (lambda path: path.write_text("SQLite format 3" * 500, encoding="utf-16"), NotAStore),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(["SQLite format 3"] * 500)), NotAStore),
    "an encrypted file": (lambda path: path.write_bytes(random.Random(5).randbytes(65536)), NotAStore),
    "a program": (lambda path: path.write_bytes(b"\x7fELF" + bytes(8192)), NotAStore),
    "a script": (lambda path: path.write_text("#!/bin/sh\n" * 500), NotAStore),
    "SQLite 2": (lambda path: path.write_bytes(b"** This file contains an SQLite 2.1 database **" * 99), NotAStore),
    "a log": (lambda path: make_from_log(path, "-wal"), NotAStore),
    "an index of a log": (lambda path: make_from_log(path, "-shm"), NotAStore),
    "an empty database": (lambda path: make_changed(path, "PRAGMA application_id=0"), NotAStore),
    "a store under another's id": (lambda path: make_changed(path, "PRAGMA application_id=1"), NotAStore),
    "a link to a directory": (lambda path: path.symlink_to(path.parent.parent), NotAStore),
    "a link to a text file": (lambda path: path.symlink_to(Path(__file__)), NotAStore),
    "a link to a device that has no end": (lambda path: path.symlink_to("/dev/zero"), NotAStore),
    "a file with two names": (make_second_name, OpenError),
    "a version to read that is none": (lambda path: change_header(path, 19, b"\x09"), NotAStore),
    "all bytes of a page reserved": (lambda path: change_header(path, 20, b"\xff" * 4), NotAStore),
    "payload that fills no page": (lambda path: change_header(path, 21, b"\x01\x01\x01"), NotAStore),
    "a page size of nothing": (lambda path: change_header(path, 16, bytes(2)), NotAStore),
}

DAMAGED: dict[str, tuple[Callable[[Path], object], type[ChatStoreError]]] = {
    "a page size of another": (lambda path: change_header(path, 16, b"\x20\x00"), ChatStoreError),
    "a format of tables that is none": (lambda path: change_header(path, 44, b"\0\0\0\x09"), ChatStoreError),
    "one page": (lambda path: (make_store(path), os.truncate(path, 1024)), ChatStoreError),
    "a first page that is no table": (lambda path: change_header(path, 100, b"\0"), ChatStoreError),
    "a first page of noise": (lambda path: change_header(path, 100, bytes(range(256)) * 3), ChatStoreError),
    "no table of identities": (lambda path: make_changed(path, "DROP TABLE store_info"), StoreDamaged),
    "a table that no text describes": (
        lambda path: make_changed(
            path,
            "PRAGMA writable_schema=ON",
            "UPDATE sqlite_schema SET sql = CAST(x'435245415445205441a04c45207a' AS TEXT) WHERE name = 'blobs'",
        ),
        StoreDamaged,
    ),
    "no identity": (lambda path: make_changed(path, "DELETE FROM store_info"), StoreDamaged),
}


@pytest.mark.parametrize(("make", "error"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_store_of_this_version_is_refused_and_left_as_it_was(
    path: Path, make: Callable[[Path], object], error: type[ChatStoreError]
) -> None:
    make(path)
    before = digests(path.parent)
    for create in (True, False):
        with pytest.raises(error) as refusal:
            ChatStore(path, create=create)
        assert path.resolve().name in str(refusal.value)
    assert digests(path.parent) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("make", "error"), DAMAGED.values(), ids=DAMAGED)
def test_a_store_that_was_damaged_is_refused_and_left_as_it_was(
    path: Path, make: Callable[[Path], object], error: type[ChatStoreError]
) -> None:
    make(path)
    before = digests(path.parent)
    with pytest.raises(error):
        ChatStore(path)
    assert before in digests(path.parent)


@pytest.mark.parametrize("make", [make for make, _ in FOREIGN.values()], ids=FOREIGN)
async def test_the_async_face_refuses_the_same(path: Path, make: Callable[[Path], object]) -> None:
    make(path)
    store = AsyncChatStore(path)
    for _ in range(2):
        with pytest.raises(ChatStoreError):
            await store.history("c").append_user_message("x")
    await store.close()


_CRASH = """
    import os, sqlite3, sys
    conn = sqlite3.connect(sys.argv[1], isolation_level=None)
    conn.execute("PRAGMA journal_mode=" + sys.argv[2])
    conn.execute("PRAGMA cache_size=1")
    conn.execute("BEGIN")
    conn.executemany("INSERT INTO blocks (text) VALUES (?)", [("x" * 500,)] * 2000)
    if sys.argv[2] == "wal":
        conn.execute("COMMIT")
    os._exit(0)
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_another_application_s_database_that_crashed_is_not_recovered_by_us(path: Path, mode: str) -> None:
    make_other_database(path, mode)
    run(_CRASH, path, mode)
    before = digests(path.parent)
    assert len(before.splitlines()) == 2, "the crash left no log"
    with pytest.raises(OpenError):
        ChatStore(path)
    assert digests(path.parent) == before


def test_a_store_of_a_newer_format_that_crashed_is_not_recovered_by_us(path: Path) -> None:
    make_store(path)
    run(
        """
        import os, sqlite3, sys
        conn = sqlite3.connect(sys.argv[1], isolation_level=None)
        conn.execute("PRAGMA user_version=999")
        os._exit(0)
        """,
        path,
    )
    before = digests(path.parent)
    with pytest.raises(SchemaTooNew):
        ChatStore(path)
    assert digests(path.parent) == before


def test_an_older_format_is_told_the_command_that_migrates_it(tmp_path: Path) -> None:
    path = tmp_path / "my chats.db"
    change_header(path, 60, bytes(4))
    with pytest.raises(SchemaTooOld, match=r"chatstore migrate '.*my chats\.db'"):
        ChatStore(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_store_says_that_it_is_damaged(path: Path, share: float) -> None:
    make_store(path)
    os.truncate(path, int(path.stat().st_size * share) // 4096 * 4096)
    (before,) = digests(path.parent).splitlines()
    with pytest.raises(StoreDamaged), ChatStore(path) as store:
        for name in ("a", "b"):
            store.history(name).get_messages()
            store.history(name).get_messages(kind="transcript", last=5)
            list(store.history(name).subscribe(follow=False))
    assert before in digests(path.parent).splitlines()


@pytest.mark.parametrize("page", [1, 2, 5, 20])
def test_a_page_of_noise_is_an_error_of_ours_or_does_no_harm(path: Path, page: int) -> None:
    make_store(path)
    with path.open("r+b") as file:
        file.seek(4096 * page)
        file.write(bytes(range(256)) * 16)
    try:
        with ChatStore(path) as store:
            for name in ("a", "b"):
                store.history(name).append_user_message("y")
                store.history(name).get_messages()
                list(store.history(name).subscribe(follow=False))
    except ChatStoreError as error:
        assert isinstance(error, StoreDamaged | OpenError)


# What lies beside a good store: SQLite takes of a log what is whole and belongs to it, and no more.


def leave_log(path: Path, number: int) -> None:
    """A store whose process was killed: one context is in the file, the next only in the log."""
    make_store(path)
    run(
        """
        import os, sys
        from chatstore import ChatStore
        history = ChatStore(sys.argv[1]).history("in the log")
        for number in range(int(sys.argv[2])):
            history.append_user_message(f"{number}")
        os._exit(0)
        """,
        path,
        number,
    )


def cut_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    os.truncate(log, log.stat().st_size - 100)


def flip_in_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    with log.open("r+b") as file:
        file.seek(log.stat().st_size - 500)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0xFF]))


def remove_index(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


BESIDE: dict[str, tuple[Callable[[Path], object], int]] = {
    "its own log": (lambda path: None, 20),
    "its own log without an index": (remove_index, 20),
    "its own log and an index of noise": (
        lambda path: path.with_name(f"{path.name}-shm").write_bytes(bytes(range(256)) * 128),
        20,
    ),
    "its own log, cut within the last commit": (cut_log, 19),
    "its own log, changed within the last commit": (flip_in_log, 19),
    "a log of noise": (
        lambda path: path.with_name(f"{path.name}-wal").write_bytes(random.Random(5).randbytes(9999)),
        0,
    ),
    "an empty log": (lambda path: path.with_name(f"{path.name}-wal").write_bytes(b""), 0),
    "no log": (lambda path: path.with_name(f"{path.name}-wal").unlink(), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "kept"), BESIDE.values(), ids=BESIDE)
def test_of_a_log_that_was_left_what_is_whole_is_kept(path: Path, change: Callable[[Path], object], kept: int) -> None:
    leave_log(path, 20)
    change(path)
    with ChatStore(path) as store:
        history = store.history("in the log")
        assert [block.text for block in history.get_messages()] == [str(number) for number in range(kept)]
        assert history.append_user_message("goes on").index == kept
        assert [store.history(name).count() for name in ("a", "b")] == [300, 300]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_a_flipped_byte_is_an_error_of_ours_or_stays_where_it_is(path: Path, share: float) -> None:
    make_store(path)
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * share))
        file.write(bytes([255 - file.read(1)[0]]))
    try:
        with ChatStore(path) as store:
            texts = [block.text for name in ("a", "b") for block in store.history(name).get_messages()]
            store.history("c").append_user_message("y")
            assert len(texts) == 600
    except ChatStoreError as error:
        assert isinstance(error, StoreDamaged | OpenError)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_log_beside_a_store_that_is_gone_is_not_played_into_a_new_one(path: Path, suffix: str) -> None:
    path.with_name(path.name + suffix).write_bytes(b"\x37\x7f\x06\x82" + bytes(4096))
    before = digests(path.parent)
    with pytest.raises(OpenError, match=suffix):
        ChatStore(path)
    assert digests(path.parent) == before
    assert not path.exists()
