"""Acknowledged appends are kept when somebody in the process, or the process itself, does what SQLite warns of."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import opened_files
import pytest
from other_processes import run
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chatstore import BlockDraft, ChatStore, ForkedStore, StoreReplaced
from chatstore.databases import checkpoints
from chatstore.databases.guard import INDEXED, OPEN, LockGuard
from chatstore.databases.versions import has_reset_bug

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(sys.platform != "linux", reason="the guard is a Linux lock")

_APPEND_AND_CLOSE = """
    import sys
    from chatstore import ChatStore
    with ChatStore(sys.argv[1]) as store:
        store.history("c").append_user_message(sys.argv[2])
"""


def texts(path: Path) -> list[str]:
    """What another process finds in the store."""
    return run(
        """
        import sys
        from chatstore import ChatStore
        with ChatStore(sys.argv[1], create=False) as store:
            print(*(block.text for block in store.history("c").get_messages()))
        """,
        path,
    ).split()


def open_and_close(path: Path) -> None:
    """What a backup or a look at the file's header does."""
    with path.open("rb") as file:
        file.read(16)


@pytest.mark.slow
@linux
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_that_somebody_opened_and_closed_here_loses_nothing_when_another_process_closes(
    path: Path, suffix: str
) -> None:
    acknowledged = []
    with ChatStore(path) as store:
        history = store.history("c")
        for number in range(5):
            acknowledged.append(history.append_user_message(f"ours-{number}").text)
            open_and_close(path.with_name(path.name + suffix))
            run(_APPEND_AND_CLOSE, path, f"theirs-{number}")
            acknowledged += [f"theirs-{number}", history.append_user_message(f"again-{number}").text]
            assert texts(path) == acknowledged
    assert texts(path) == acknowledged


@linux
def test_a_wait_for_the_guard_that_is_interrupted_leaves_no_file_open(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "file"
    path.touch()
    opened = len([*Path("/proc/self/fd").iterdir()])

    class Stopped(BaseException):
        """What a signal's handler raises."""

    def stop(*_: object) -> None:
        raise Stopped

    with path.open("rb+") as other:
        alone = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, *OPEN, 0)
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, alone)
        before = signal.signal(signal.SIGALRM, stop)
        try:
            with pytest.raises(Stopped):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                LockGuard(path, OPEN, patience=20)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    LockGuard(path, OPEN, patience=0).close()  # closes what had to stay open beside the other
    assert len([*Path("/proc/self/fd").iterdir()]) == opened


@pytest.mark.slow
def test_without_the_guard_the_next_append_is_refused(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        history.append_user_message("acknowledged")
        for guard in store._open().database._guards:
            guard.release()
        open_and_close(path)
        run(_APPEND_AND_CLOSE, path, "theirs")
        assert not path.with_name(f"{path.name}-wal").exists(), "the other process was not the last, as it thought"
        for _ in range(2):
            with pytest.raises(StoreReplaced):
                history.append_user_message("not acknowledged")
        with pytest.raises(StoreReplaced):
            history.count()
    assert texts(path) == ["acknowledged", "theirs"]


@pytest.mark.slow
@linux
def test_writers_lose_nothing_while_every_process_opens_and_closes_the_file_by_hand(path: Path) -> None:
    ChatStore(path).close()
    writer = """
        import pathlib, sys
        from chatstore import ChatStore
        path, name = pathlib.Path(sys.argv[1]), sys.argv[2]
        for turn in range(8):
            with ChatStore(path) as store:
                for number in range(5):
                    path.read_bytes()
                    print(store.history("c").append_user_message(f"{name}-{turn}-{number}").text)
    """
    acknowledged: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: acknowledged.extend(run(writer, path, name).split()))
        for name in ("a", "b", "c", "d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(acknowledged) == 4 * 8 * 5
    assert sorted(texts(path)) == sorted(acknowledged)


def test_the_last_to_close_leaves_one_file(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("x")
        run(_APPEND_AND_CLOSE, path, "y")
        assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@linux
def test_a_connection_of_the_program_s_own_keeps_its_locks_when_the_store_closes(path: Path) -> None:
    ChatStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("SELECT * FROM blocks").fetchall()
        with ChatStore(path) as store:
            store.history("c").append_user_message("first")
        run(_APPEND_AND_CLOSE, path, "second")  # it would be the last, had the connection lost its locks
        own.execute("UPDATE blocks SET text = 'changed' WHERE text = 'first'")
        assert texts(path) == ["changed", "second"]
    with ChatStore(path):
        pass  # gives back what the other store could not


@linux
def test_a_store_that_another_process_has_for_itself_is_busy(path: Path) -> None:
    ChatStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as alone:
        for statement in ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"):
            alone.execute(statement)
        assert (
            run(
                """
            import sys
            from pathlib import Path
            from chatstore import StoreBusy
            from chatstore.databases.guard import OPEN, LockGuard
            try:
                LockGuard(Path(sys.argv[1]), OPEN, patience=0.1)
            except StoreBusy:
                print("busy")
            """,
                path,
            )
            == "busy"
        )


def _use_in_a_fork(path: Path, results: multiprocessing.SimpleQueue[str], done: threading.Event) -> None:
    try:
        ChatStore(path)
    except ForkedStore:
        results.put("refused")
    done.wait(30)


@pytest.mark.slow
@linux
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_neither_keeps_nor_drops_the_lock(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results, done = context.SimpleQueue(), context.Event()
    with ChatStore(path) as store:
        history = store.history("c")
        history.append_user_message("a")
        child = context.Process(target=_use_in_a_fork, args=(path, results, done))
        child.start()
        assert results.get() == "refused"
        open_and_close(path)
        run(_APPEND_AND_CLOSE, path, "b")
        history.append_user_message("c")
        short = context.Process(target=os._exit, args=(0,))
        short.start()
        short.join()
        run(_APPEND_AND_CLOSE, path, "d")
        history.append_user_message("e")
        assert texts(path) == [*"abcde"]
    run(_APPEND_AND_CLOSE, path, "f")  # the child lives, and the file can be had alone all the same
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    done.set()
    child.join()
    assert texts(path) == [*"abcdef"]


def test_no_commit_can_begin_the_log_anew_while_it_is_copied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, str]] = []

    def listen(connection: Any, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(lambda text: said.append((id(connection), text)))

    event.listen(Pool, "connect", listen)
    try:
        for alone in (True, False):
            monkeypatch.setattr(checkpoints, "has_reset_bug", lambda version, alone=alone: alone)
            with ChatStore(path) as store:
                store.history("c").append_user_message("x")
                core = store._open()
                said.clear()
                core.database.checkpoint(core.committer._writer._conn)
                first, second = id(core.committer._writer._conn.connection.dbapi_connection), {one for one, _ in said}
                copying = "PRAGMA wal_checkpoint(PASSIVE)"
                texts = [text for _, text in said if "PRAGMA" not in text or text == copying]
                assert texts == (["BEGIN IMMEDIATE", copying, "ROLLBACK"] if alone else [copying])
                assert (first, copying) in said
                assert (len(second) == 2) is alone
    finally:
        event.remove(Pool, "connect", listen)


def test_no_connection_copies_the_log_by_itself(path: Path) -> None:
    with ChatStore(path) as store, store._open().database.writer() as conn:
        assert conn.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == 0
        assert conn.exec_driver_sql("PRAGMA journal_size_limit").scalar() == checkpoints.LIMIT


@pytest.mark.slow
def test_a_log_that_is_far_too_long_begins_anew_beside_readers(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        core = store._open()
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM blocks").fetchall()
            for _ in range(2):
                history.append([BlockDraft(text="x" * 100_000) for _ in range(100)])
            before = core.database.wal.stat().st_size
            assert before > 16 << 20
            with core.committer._lead:
                core.database.checkpoint(core.committer._writer._conn)  # the reader needs what was there when it began
            assert core.database.wal.stat().st_size == before
            reader.execute("ROLLBACK")
        assert history.append_user_message("y").index == 200
        with core.committer._lead:
            core.database.checkpoint(core.committer._writer._conn)
        assert core.database.wal.stat().st_size <= checkpoints.LIMIT
        history.append_user_message("z")
        assert not core.database.wants_checkpoint()


def test_the_hook_sees_a_file_that_the_package_opens(path: Path) -> None:
    with ChatStore(path):
        code = compile("open(name, 'rb').close()", f"{opened_files.PACKAGE}/made_up.py", "exec")
        exec(code, {"name": str(path) + "-wal"})
        assert opened_files.wrongly_opened() == [f"made_up.py opened {path}-wal"]
        opened_files.forget()


@pytest.mark.parametrize(
    ("version", "bug"),
    [
        ((3, 31, 1), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_versions_that_need_checkpoints_to_be_alone(version: tuple[int, int, int], bug: bool) -> None:
    assert has_reset_bug(version) is bug


_FILL = """
import sys
from chatstore import ChatStore
with ChatStore(sys.argv[1], durability="token") as store:
    history = store.history("w")
    history.append_user_message("begun")
    print(flush=True)
    while True:
        history.append_user_message("x" * 20_000)
"""


@pytest.mark.slow
@linux
def test_a_copy_of_the_log_whose_process_was_killed_is_taken_for_no_other_store(path: Path) -> None:
    chance = random.Random(1)
    with ChatStore(path, durability="token") as store, store.history("c").subscribe() as changes:
        index = LockGuard(path.with_name(f"{path.name}-shm"), INDEXED, patience=5)
        left, tries = 0, 0
        while left < 3:
            tries += 1
            assert tries < 200, "no copy was caught half-way"
            with subprocess.Popen([sys.executable, "-c", _FILL, str(path)], stdout=subprocess.PIPE) as writer:
                assert writer.stdout is not None
                writer.stdout.readline()
                time.sleep(chance.uniform(0.02, 0.1))  # nothing is waited for: it is the moment of its death
                writer.kill()
            copied = index.copied()
            assert copied is not None
            left += copied.done != copied.begun
            store.history("c").append_user_message("still here")
            assert next(changes).type == "message"
        index.close()
        assert not store.check().problems
