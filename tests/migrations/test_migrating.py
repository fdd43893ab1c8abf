"""Migrating a store, and refusing what cannot be migrated or opened."""

import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import pytest

from chatstore import (
    ChatStore,
    ChatStoreError,
    NotAStore,
    SchemaTooNew,
    SchemaTooOld,
    StorageError,
    StoreBusy,
    StoreNotFound,
)
from chatstore.databases import upgrade
from chatstore.migrate import migrate
from chatstore.schema import SCHEMA_VERSION

REFUSED = {
    "an older one": {"version": 0},
    "a newer one": {"version": SCHEMA_VERSION + 1},
    "a foreign one": {"application": 0},
    "a foreign one of the same format": {"application": 0x12345678, "version": SCHEMA_VERSION},
}


def test_a_migrated_store_is_used_like_a_new_one(old_store: Path) -> None:
    assert migrate(old_store) == (0, SCHEMA_VERSION)
    with ChatStore(old_store) as store:
        store.history("a").append_user_message("Good morning")
        assert [block.text for block in store.history("a").get_messages()] == ["Good morning"]


def test_a_store_is_named_by_a_url_too(old_store: Path) -> None:
    assert migrate(f"sqlite:///{old_store}") == (0, SCHEMA_VERSION)


def test_a_migrated_store_keeps_its_identity_when_there_is_nothing_to_do(old_store: Path) -> None:
    migrate(old_store)
    before = digests(old_store)
    assert migrate(old_store) == (SCHEMA_VERSION, SCHEMA_VERSION)
    assert digests(old_store) == before


def test_each_migrated_store_gets_an_identity_of_its_own(make_database: Callable[..., Path]) -> None:
    identities = set()
    for path in (make_database("a.db"), make_database("b.db")):
        migrate(path)
        with ChatStore(path) as store:
            identities.add(store.identity)
    assert len(identities) == 2


def test_the_command_in_the_refusal_of_an_older_store_brings_it_up_to_date(make_database: Callable[..., Path]) -> None:
    path = make_database("my store's.db")
    with pytest.raises(SchemaTooOld) as refusal:
        ChatStore(path)
    program, *arguments = shlex.split(str(refusal.value).split("run: ")[1])
    assert (program, arguments) == ("chatstore", ["migrate", str(path)])
    migrate(arguments[1])
    ChatStore(path).close()


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
def test_a_refused_file_is_left_as_it_is(make_database: Callable[..., Path], header: dict[str, int]) -> None:
    path = make_database(**header)
    before = digests(path)
    refused_in_another_process(path)
    assert digests(path) == before


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
def test_a_refused_file_keeps_the_log_that_a_crash_left(
    make_database: Callable[..., Path], header: dict[str, int]
) -> None:
    path = make_database(**header)
    write_and_crash(path)
    before = digests(path)
    assert f"{path.name}-wal" in before
    refused_in_another_process(path)
    assert digests(path) == before


@pytest.mark.parametrize(
    ("header", "error"),
    [({"version": SCHEMA_VERSION + 1}, SchemaTooNew), ({"application": 0}, NotAStore)],
    ids=["a newer one", "a foreign one"],
)
def test_what_cannot_be_migrated_is_left_as_it_is(
    make_database: Callable[..., Path], header: dict[str, int], error: type[ChatStoreError]
) -> None:
    path = make_database(**header)
    before = digests(path)
    with pytest.raises(error):
        migrate(path)
    assert digests(path) == before


def test_migrating_nothing_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        migrate(tmp_path / "chat.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"Dear diary,\n" * 100], ids=["empty", "text"])
def test_a_file_that_is_no_database_is_not_migrated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "diary.txt"
    path.write_bytes(content)
    with pytest.raises(NotAStore):
        migrate(path)
    assert path.read_bytes() == content


def test_a_directory_is_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(NotAStore):
        migrate(tmp_path)


def test_a_store_that_is_open_somewhere_is_not_migrated(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "PATIENCE", 0.1)
    before = digests(old_store)
    reader = "import sqlite3, sys; conn = sqlite3.connect(sys.argv[1]); conn.execute('PRAGMA user_version').fetchone()"
    reader += "; print('open', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", reader, old_store], **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        with pytest.raises(StoreBusy, match="in use"):
            migrate(old_store)
        process.communicate(timeout=30)
    assert digests(old_store) == before
    assert migrate(old_store) == (0, SCHEMA_VERSION)


@pytest.mark.slow
def test_a_store_is_migrated_once_by_processes_that_race_for_it(old_store: Path) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as processes:
        results = sorted(processes.map(migrate, [old_store] * 3))
    assert results == [(0, SCHEMA_VERSION), (SCHEMA_VERSION, SCHEMA_VERSION), (SCHEMA_VERSION, SCHEMA_VERSION)]


def test_a_migration_that_fails_leaves_the_store_as_it_was(make_database: Callable[..., Path]) -> None:
    path = make_database(script="CREATE TABLE blobs (in_the_way)")
    before = digests(path)
    with pytest.raises(StorageError, match="blobs already exists"):
        migrate(path)
    assert digests(path) == before


def test_what_a_crash_left_in_the_log_is_migrated_too(old_store: Path) -> None:
    write_and_crash(old_store)
    assert migrate(old_store) == (0, SCHEMA_VERSION)
    with closing(sqlite3.connect(old_store)) as conn:
        assert conn.execute("SELECT * FROM left_in_log").fetchall() == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_migration_without_space_leaves_the_store_as_it_was(old_store: Path) -> None:
    before = digests(old_store)
    code = """if True:
        import resource, sys
        from chatstore import StorageError
        from chatstore.migrate import migrate
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        try:
            migrate(sys.argv[1])
        except StorageError:
            sys.exit(28)
    """
    assert subprocess.run([sys.executable, "-c", code, old_store], timeout=60).returncode == 28
    with pytest.raises(SchemaTooOld):
        ChatStore(old_store)
    assert digests(old_store)[old_store.name] == before[old_store.name]
    assert migrate(old_store) == (0, SCHEMA_VERSION)


def write_and_crash(path: Path) -> None:
    """Writes to the database in a process that ends before SQLite moves its log into the file."""
    code = "import os, sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript('CREATE TABLE left_in_log (x)')"
    subprocess.run([sys.executable, "-c", f"{code}; os._exit(0)", path], check=True, timeout=60)


def digests(path: Path) -> dict[str, str]:
    """What is in a database's file and in its log; a reader of one in WAL mode leaves an empty log."""
    files = (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal"))
    contents = {file.name: file.read_bytes() for file in files if file.exists()}
    return {name: sha256(content).hexdigest() for name, content in contents.items() if content}


def refused_in_another_process(path: Path) -> None:
    """Another process tries to open the store, as reading a file's bytes drops the locks of the process that does."""
    code = "import sys, chatstore; chatstore.ChatStore(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "chatstore.errors" in run.stderr, run.stderr
