"""What makes the store fast, counted: statements, transactions and changes of threads for each thing it does.

Every statement is taken from the driver, with the thread that runs it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool
from sqlalchemy.sql.compiler import SQLCompiler

from chatstore import AsyncChatStore, BlockAdded, BlockDraft, ChatStore, History, Tag
from chatstore.writing import growing

APPEND = ["BEGIN", "PRAGMA data_version", "INSERT INTO blocks", "INSERT INTO changes", "UPDATE histories", "COMMIT"]
"""The statements of an append to a history that this process wrote to before, while no other process wrote."""


class Statements:
    """The statements that ran since it was last asked, each with the thread that ran it."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def listen(self, connection: Any, _record: object) -> None:
        # A connection of aiosqlite keeps the driver's own inside, and has it run on a thread of its own.
        driver = connection if isinstance(connection, sqlite3.Connection) else connection._connection._conn
        driver.set_trace_callback(lambda text: self._seen.append((text, threading.get_ident())))

    def clear(self) -> None:
        self._seen.clear()

    def texts(self) -> list[str]:
        return [text for text, _ in self._seen]

    def count(self, word: str) -> int:
        return sum(text.startswith(word) for text in self.texts())

    def threads(self) -> set[int]:
        return {thread for _, thread in self._seen}

    def are(self, wanted: list[str]) -> bool:
        """Whether just these ran, each beginning so."""
        return len(self._seen) == len(wanted) and all(
            text.startswith(start) for text, start in zip(self.texts(), wanted, strict=True)
        )


@pytest.fixture
def ran() -> Iterator[Statements]:
    """What the driver runs, on connections made from now on."""
    statements = Statements()
    event.listen(Pool, "connect", statements.listen)
    yield statements
    event.remove(Pool, "connect", statements.listen)


@pytest.fixture
def history(ran: Statements, path: Path) -> Iterator[History]:
    with ChatStore(path, durability="token") as store:
        history = store.history("a")
        history.append_user_message("the first creates the history")
        ran.clear()
        yield history


def test_an_append_is_six_statements_of_one_transaction_on_the_callers_thread(
    history: History, ran: Statements
) -> None:
    for _ in range(3):
        ran.clear()
        history.append_user_message("text")
        assert ran.are(APPEND), ran.texts()
    assert ran.threads() == {threading.get_ident()}


def test_a_synced_append_after_a_synced_one_is_the_same_statements(path: Path, ran: Statements) -> None:
    with ChatStore(path, durability="message") as store:
        history = store.history("a")
        history.append_user_message("the first")
        ran.clear()
        history.append_user_message("the second")
        assert ran.are(APPEND), ran.texts()


def test_a_batch_of_many_blocks_is_one_transaction_with_one_run_of_inserts(history: History, ran: Statements) -> None:
    history.append([BlockDraft(text=str(number)) for number in range(100)])
    counts = [ran.count(word) for word in APPEND]
    assert counts == [1, 1, 100, 100, 1, 1]  # the driver tells of every row of an executemany
    assert len(ran.texts()) == sum(counts)


def test_compaction_looks_at_no_block_that_was_stored_whole(history: History, ran: Statements) -> None:
    history.append([BlockDraft(text="x") for _ in range(100)])
    with history.open_message():
        pass
    ran.clear()
    history._store.compact()
    assert ran.count("DELETE FROM changes") == ran.count("UPDATE blocks") == 0


def test_the_counters_are_read_again_once_another_connection_has_written(history: History, ran: Statements) -> None:
    with sqlite3.connect(history._store.path) as other:
        other.execute("UPDATE histories SET updated_at = updated_at + 1")
    other.close()
    ran.clear()
    history.append_user_message("text")
    assert ran.count("SELECT") == 2  # that it is still the same store, and the counters
    ran.clear()
    history.append_user_message("text")
    assert ran.count("SELECT") == 0


async def test_an_async_append_that_waits_for_nothing_never_leaves_the_loops_thread(
    path: Path, ran: Statements
) -> None:
    async with AsyncChatStore(path, durability="token") as store:
        history = store.history("a")
        await history.append_user_message("the first")
        for _ in range(3):
            ran.clear()
            await history.append_user_message("text")
            assert ran.are(APPEND), ran.texts()
            assert ran.threads() == {threading.get_ident()}
        assert "chatstore-committer" not in {thread.name for thread in threading.enumerate()}


async def test_an_async_append_that_waits_for_the_disk_changes_threads_once(path: Path, ran: Statements) -> None:
    async with AsyncChatStore(path, durability="message") as store:
        history = store.history("a")
        await history.append_user_message("the first")
        ran.clear()
        await history.append_user_message("text")
        assert ran.are(APPEND), ran.texts()
        [committer] = ran.threads()
        assert {t.ident: t.name for t in threading.enumerate()}[committer] == "chatstore-committer"


@pytest.mark.parametrize("durability", ["token", "message"])
@pytest.mark.parametrize("contexts", [1, 100])
async def test_the_appends_of_a_hundred_tasks_are_committed_together(
    path: Path, ran: Statements, durability: Any, contexts: int
) -> None:
    async with AsyncChatStore(path, durability=durability) as store:
        histories = [store.history(f"c{number % contexts}") for number in range(100)]
        await asyncio.gather(*(history.append_user_message("the first") for history in histories))
        ran.clear()
        await asyncio.gather(*(history.append_user_message("text") for history in histories))
        assert ran.count("INSERT INTO blocks") == 100
        # On the loop all go at once; a thread may begin while the loop still asks.
        assert ran.count("BEGIN") == 1 if durability == "token" else ran.count("BEGIN") < 50
        assert ran.count("UPDATE histories") <= contexts * ran.count("BEGIN")
        assert ran.count("SELECT") == 0


def test_the_tokens_of_a_hundred_open_blocks_share_a_transaction(
    history: History, ran: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "PAUSED", 600.0)
    writers = [history.open_message() for _ in range(100)]
    with sqlite3.connect(history._store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # until it ends, everything has to wait
        ran.clear()
        for _ in range(50):
            for writer in writers:
                writer.write("token ")
        other.execute("ROLLBACK")
    other.close()
    for writer in writers:
        writer.flush()
    # One that was on its way when the lock was taken, one with all that had gathered, each block's as one piece.
    assert ran.count("COMMIT") <= 2
    assert 100 <= ran.count("INSERT INTO changes") <= 200
    for writer in writers:
        assert writer.close().text == "token " * 50


def test_a_thread_that_writes_to_many_blocks_in_turn_waits_at_none_of_them(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "PAUSED", 600.0)
    writers = [history.open_message() for _ in range(3)]
    for writer in writers:
        writer.write("the first ")
        writer.flush()
    with sqlite3.connect(history._store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # whoever waited for a commit would wait until StoreBusy
        for _ in range(2):
            for writer in writers:
                writer._growing._last -= 601  # a turn takes longer than the pause after which a lone writer waits
                writer.write("text ")
        other.execute("ROLLBACK")
    other.close()
    assert {writer.close().text for writer in writers} == {"the first text text "}


async def test_changes_of_this_process_are_handed_over_without_reading_them(path: Path, ran: Statements) -> None:
    async with AsyncChatStore(path, durability="token", wake="none") as store:
        history = store.history("a")
        await history.append_user_message("the first creates the history")
        async with history.subscribe(after="now", timeout=20) as changes:
            for number in range(10):
                await history.append_user_message(str(number))
                await anext(changes)
            ran.clear()
            for number in range(20):
                await history.append_user_message(str(number))
                change = await anext(changes)
                assert isinstance(change, BlockAdded)
                assert change.block.text == str(number)
        assert [text for text in ran.texts() if "SELECT blocks" in text or "FROM blocks" in text] == []


def test_a_statement_is_compiled_once(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything() -> None:
        history.append_user_message("text", key=None)
        with history.open_message() as block:
            block.write("text")
        history.get_messages(kind="transcript", last=5)
        history.since_last_user_message(types=["function_call"])
        assert list(history.subscribe(follow=False))

    compiled = []
    compile_one = SQLCompiler.__init__

    def counting(self: SQLCompiler, *args: Any, **named: Any) -> None:
        compiled.append(args)
        compile_one(self, *args, **named)

    everything()
    monkeypatch.setattr(SQLCompiler, "__init__", counting)
    everything()
    assert compiled == []


@pytest.mark.parametrize(
    ("change", "statements"),
    [
        ("tag", ["SELECT blocks", "SELECT tags", "INSERT INTO tags", "UPDATE blocks"]),
        ("usage", ["SELECT blocks", "UPDATE blocks"]),
        ("close", ["SELECT blocks", "SELECT changes", "UPDATE blocks"]),
    ],
)
def test_what_a_change_replaces_is_read_once_with_what_proves_it(
    history: History, ran: Statements, change: str, statements: list[str]
) -> None:
    answer = history.open_message()
    answer.write("text")
    answer.flush()
    made = {
        "tag": lambda: history.tag(answer.block, Tag(kind="k", name="n")),
        "usage": lambda: history.set_usage(answer.block, {"n": 1}),
        "close": answer.close,
    }
    ran.clear()
    made[change]()
    assert ran.are([*APPEND[:2], *statements, *APPEND[3:]]), ran.texts()
    if change != "close":
        answer.close()


def test_a_run_is_cancelled_with_one_read_of_it_one_of_its_parts_and_one_of_its_open_blocks(
    history: History, ran: Statements
) -> None:
    run = history.run().__enter__()
    ran.clear()
    history.cancel_run(run.id)
    reads = ["SELECT runs", "SELECT histories", "SELECT blocks"]
    assert ran.are([*APPEND[:2], *reads, "UPDATE runs", *APPEND[3:]]), ran.texts()
