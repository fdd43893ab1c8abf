"""What is no store of this version, or is damaged: refused with what to do, and left byte for byte."""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Callable
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


def test_a_store_without_its_identity_is_damaged(path: Path) -> None:
    make_store(path)
    with sqlite3.connect(path) as conn:
        conn.execute("DELETE FROM store_info")
    conn.close()
    with pytest.raises(StoreDamaged):
        ChatStore(path)


def test_a_store_without_its_tables_is_damaged(path: Path) -> None:
    make_store(path)
    with sqlite3.connect(path) as conn:
        conn.execute("DROP TABLE store_info")
    conn.close()
    with pytest.raises((StoreDamaged, OpenError)):
        ChatStore(path)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_log_beside_a_store_that_is_gone_is_not_played_into_a_new_one(path: Path, suffix: str) -> None:
    path.with_name(path.name + suffix).write_bytes(b"\x37\x7f\x06\x82" + bytes(4096))
    before = digests(path.parent)
    with pytest.raises(OpenError, match=suffix):
        ChatStore(path)
    assert digests(path.parent) == before
    assert not path.exists()
