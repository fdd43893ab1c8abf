"""Checks: what is damaged is named, what is sound is not, whatever others write meanwhile."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from data_support import report
from flipping import TABLES, fill

from chatstore import ChatStore, ChatStoreError, Tag

# In a process of its own: nothing here may open the files of a store but through SQLite.
TURN = """
import random, shutil, sys
source, target, seed = sys.argv[1:]
shutil.copyfile(source, target)
with open(target, "r+b") as file:
    at = random.Random(int(seed)).randrange(file.seek(0, 2))
    file.seek(at)
    [byte] = file.read(1)
    file.seek(at)
    file.write(bytes([byte ^ 1 << random.Random(int(seed)).randrange(8)]))
"""


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement).rowcount >= 1
        conn.commit()


def test_a_sound_store_has_no_problems_and_is_counted(path: Path) -> None:
    fill(path)
    told: list[tuple[int, int]] = []
    with ChatStore(path) as store:
        found = store.check(progress=lambda done, total: told.append((done, total)))
        counts = [one.count for one in store.contexts()]
    assert found.problems == ()
    assert (found.histories, found.blocks) == (len(counts), sum(counts))
    assert told[-1] == (sum(counts), sum(counts))


@pytest.mark.parametrize(
    ("statement", "index", "table"),
    [
        ('UPDATE blocks SET text = text || "x" WHERE history_id = 1 AND "index" = 2', 2, "blocks"),
        ('UPDATE blocks SET views = 0 WHERE history_id = 1 AND "index" = 0', 0, "blocks"),
        ('DELETE FROM blocks WHERE history_id = 1 AND "index" = 3', 3, "blocks"),
        ("DELETE FROM changes WHERE history_id = 1 AND sequence = 1", 0, "changes"),
        ("DELETE FROM changes WHERE history_id = 1 AND sequence = 5", None, "changes"),
        ("DELETE FROM tags WHERE history_id = 1 AND block_index = 0", 0, "tags"),
        ("INSERT INTO tags VALUES (1, 'k', 'n', 2)", 2, "tags"),
        ("DELETE FROM block_blobs WHERE history_id = 1", 7, "block_blobs"),
        ("DELETE FROM blobs WHERE digest IN (SELECT digest FROM block_blobs WHERE history_id = 1)", 7, "blobs"),
        ("UPDATE append_keys SET count = 100 WHERE history_id = 1", None, "append_keys"),
        ("UPDATE append_keys SET first_index = -1 WHERE history_id = 1", None, "append_keys"),
        ("UPDATE histories SET head = head + 1 WHERE id = 1", None, "histories"),
        ("UPDATE histories SET count = count - 1 WHERE id = 1", 8, "blocks"),
        ("UPDATE histories SET last_user = 0 WHERE id = 1", None, "histories"),
        ("UPDATE runs SET state = 'failed' WHERE history_id = 1", None, "runs"),
        ("DELETE FROM runs WHERE history_id = 1", None, "runs"),
    ],
)
def test_damage_is_named_by_context_block_and_table(path: Path, statement: str, index: int | None, table: str) -> None:
    fill(path)
    change(path, statement)
    with ChatStore(path) as store:
        problems = store.check().problems
    assert {problem.context_id for problem in problems} == {"context 0"}
    assert (index, table) in {(problem.index, problem.table) for problem in problems}, problems
    assert all("context 0" in str(problem) for problem in problems)


def test_rows_of_a_history_that_is_not_there_are_found(path: Path) -> None:
    fill(path)
    change(path, "INSERT INTO tags VALUES (99, 'k', 'n', 2)")
    with ChatStore(path) as store:
        [problem] = store.check().problems
    assert (problem.context_id, problem.table) == (None, "tags")
    assert "history 99" in problem.what


def test_a_check_while_others_write_finds_nothing_and_lets_them_write(store: ChatStore) -> None:
    stop, written = threading.Event(), Counter()

    def write(name: str) -> None:
        history = store.history(name)
        while not stop.is_set():
            block = history.append_user_message("Hi", tags=[Tag(kind="k", name="n")])
            with history.open_message() as answer:
                answer.write("a")
                answer.flush()
                answer.write("b")
            history.set_usage(block, {"n": 1})
            store.compact()
            written[name] += 1

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "b")]
    for writer in writers:
        writer.start()
    try:
        checks = 0
        while min(written["a"], written["b"]) < 20 or checks < 10:
            assert store.check().problems == ()
            checks += 1
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert store.check().problems == ()


def test_open_blocks_and_running_runs_are_no_problem(store: ChatStore) -> None:
    history = store.history("c")
    with history.run(), history.open_message() as answer:
        answer.write("so far")
        answer.flush()
        assert store.check().problems == ()


def dump(path: Path) -> dict[str, list]:
    """All that is stored."""
    with closing(sqlite3.connect(path)) as conn:
        conn.text_factory = bytes
        found = {}
        for table in TABLES:
            columns = ", ".join(f'"{row[1].decode()}"' for row in conn.execute(f"PRAGMA table_info({table})"))
            found[table] = conn.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "turns", [40, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_a_bit_of_the_file_itself_is_found_or_changes_nothing_that_is_stored(tmp_path: Path, turns: int) -> None:
    path = tmp_path / "chat.db"
    fill(path)
    sound, counts, missed = dump(path), Counter(), []
    rng = random.Random(turns)
    for number in range(turns):
        turned = tmp_path / f"turned-{number}.db"
        seed = str(rng.randrange(1_000_000))
        subprocess.run([sys.executable, "-c", TURN, path, turned, seed], check=True, timeout=60)
        try:
            with ChatStore(turned, create=False) as store:
                outcome = "found" if store.check().problems else "nothing"
        except ChatStoreError:
            outcome = "refused"
        if outcome == "nothing" and dump(turned) != sound:
            missed.append(seed)
        counts[outcome] += 1
        turned.unlink()
    report(f"bits of the file: {turns}, {dict(counts)}, {len(missed)} missed")
    assert not missed
    assert counts["found"] + counts["refused"] > turns // 4
