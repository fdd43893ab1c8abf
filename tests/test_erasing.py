"""Erasing comes to its end, whatever happens in between, and leaves nothing anywhere."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from other_processes import run as run_elsewhere

from chatstore import AsyncChatStore, BlockDraft, ChatStore, Part, Retain, StoreBusy, Tag, core
from chatstore.databases.sqlite import SqliteDatabase
from chatstore.operations import erasing

SECRET = "what-nobody-may-read-again"


def holding(path: Path, *secrets: str) -> dict[str, list[str]]:
    """Which of a store's files have which of these in them."""
    contents = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    held = {name: [one for one in secrets if one.encode() in content] for name, content in contents.items()}
    return {name: found for name, found in held.items() if found}


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def begun(path: Path) -> Path:
    """A store in which an erasure ended after its first step."""
    with ChatStore(path) as store:
        history = store.history("a")
        history.append([BlockDraft(text=f"{SECRET} {number}") for number in range(2_000)])
        store.history("kept").append_user_message("kept")
        opened = store._open()
        opened.committer.run(partial(erasing.erase, context=history._context))
    return path


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(core, "ERASE_EVERY", 0.01)
    return


def test_what_was_not_erased_to_the_end_is_when_the_store_is_opened(begun: Path, soon: None) -> None:
    assert holding(begun, SECRET)
    with ChatStore(begun) as store:
        eventually(lambda: not holding(begun, SECRET))
        eventually(lambda: not store.check().problems)
        assert store.history("kept").count() == 1


def test_of_a_context_that_had_everything_only_a_tombstone_stays(path: Path) -> None:
    with ChatStore(path, retain=Retain(blocks=2)) as store:
        history = store.history({"user": SECRET})
        history.append([BlockDraft(role="user", text=str(number)) for number in range(5)])
        history.tag_context(Tag(kind="k", name="n"))
        assert store.prune() == 3
        history.erase()
        assert store.check().problems == ()
    with closing(sqlite3.connect(path)) as conn:
        left = "context_keys, tags, last_user, settled_at, count, first, first_index, created_at, updated_at"
        assert conn.execute(f"SELECT {left} FROM histories").fetchall() == [(*[None] * 4, *[0] * 5)]


def test_a_step_removes_so_much_whatever_the_number_of_contexts_that_are_being_erased(path: Path) -> None:
    with ChatStore(path) as store:
        committer, names = store._open().committer, ("a", "b", "c")
        for name in names:
            store.history(name).append([BlockDraft(text="x") for _ in range(erasing.STEP)])
            committer.run(partial(erasing.erase, context=store.history(name)._context))
        assert committer.run(lambda transaction: erasing.purge(transaction.conn)) is None
        with closing(sqlite3.connect(path)) as conn:
            assert conn.execute("SELECT count(*) FROM blocks").fetchone() == (erasing.STEP * (len(names) - 1),)
        for name in names:
            store.history(name).erase()


def test_a_check_says_what_is_being_erased(begun: Path) -> None:
    with ChatStore(begun) as store:
        [problem] = store.check().problems
        assert "1 contexts are being erased" in problem.what
        store.history("a").erase()
        assert store.check().problems == ()
        assert not holding(begun, SECRET)


def test_a_backup_holds_nothing_of_what_is_being_erased(begun: Path) -> None:
    with ChatStore(begun) as store:
        store.backup(begun.with_suffix(".backup"))
        assert set(holding(begun, SECRET)) == {begun.name}
    with ChatStore(begun.with_suffix(".backup")) as copy:
        assert copy.check().problems == ()
        assert [context.context_id for context in copy.contexts()] == ["kept"]


def test_an_erasure_that_a_reader_delays_ends_in_the_background(path: Path, soon: None) -> None:
    with ChatStore(path, busy_timeout=0.2) as store:
        store.history("a").append_user_message(SECRET)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT text FROM blocks").fetchall()
            with pytest.raises(StoreBusy):
                store.history("a").erase()
            assert store.check().problems
        eventually(lambda: not holding(path, SECRET))
        eventually(lambda: not store.check().problems)


async def test_a_cancelled_erasure_comes_to_its_end(path: Path) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history("a")
        await history.append([BlockDraft(text=f"{SECRET} {number}") for number in range(2_000)])
        task = asyncio.ensure_future(history.erase())
        await asyncio.sleep(0.001)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not holding(path, SECRET)


@pytest.mark.slow
def test_erasing_a_large_context_keeps_the_log_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatStore(path, durability="token") as store:
        history = store.history("a")
        for number in range(60):
            content = Part(type="file", mime_type="text/plain", content=random.Random(number).randbytes(500_000))
            history.append_user_message("x" * 500_000, parts=[content])
        lengths = []
        commit = SqliteDatabase.commit

        def measured(self: SqliteDatabase, *given: Any) -> None:
            commit(self, *given)
            lengths.append(self._files.log_size)

        monkeypatch.setattr(SqliteDatabase, "commit", measured)
        history.erase()
        assert max(lengths) < 16_000_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_stays_behind_in_pages_that_others_write_to_meanwhile(path: Path, seed: int) -> None:
    """SQLite leaves copies of rows that it moves in the pages they were in: without a file built anew, of these too."""
    chance = random.Random(seed)

    def word(digits: int) -> str:
        return f"{chance.getrandbits(4 * digits):0{digits}x}"

    kept: list[tuple[str, str, str]] = []
    gone: list[str] = []
    with ChatStore(path, durability="token") as store:
        for number in range(600):
            user, secret, key = f"user-{word(12)}", word(16), f"req-{word(32)}"
            history = store.history(user)
            history.append_user_message(secret + " " + "x" * chance.randrange(3_000), key=key, author=user)
            history.append_function_call("lookup", {"card": secret})
            kept.append((user, secret, key))
            if number % 3 == 2:
                words = kept.pop(chance.randrange(len(kept)))
                store.history(words[0]).erase()
                gone += words
        assert holding(path, *gone) == {}
        assert all(store.history(user).count() == 2 for user, _, _ in kept)
        assert store.check().problems == ()


def test_an_eraser_that_is_killed_is_relieved(path: Path, soon: None) -> None:
    with ChatStore(path) as store:
        store.history("a").append_user_message(SECRET)
    run_elsewhere(
        """
        import os, sys
        from chatstore import ChatStore
        from chatstore.writing.committer import Committer
        Committer.scrub = lambda *given: os._exit(0)
        ChatStore(sys.argv[1]).history("a").erase()
        """,
        path,
    )
    with ChatStore(path) as store:
        eventually(lambda: not store.check().problems)
        assert not holding(path, SECRET)
