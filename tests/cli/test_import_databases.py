"""`chatstore import` of databases of other programs, as these tests write them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from chatstore import ChatStore

Run = Callable[..., Result]

SESSIONS = """
CREATE TABLE {s} (session_id TEXT PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE {m} (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, message_data TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
"""
ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}], "id": "m"},
]


def sessions(path: Path, rows: list[tuple[Any, Any]], table: str = "agent_messages", *, wal: bool = False) -> Path:
    with closing(sqlite3.connect(path)) as conn:
        if wal:
            conn.execute("PRAGMA journal_mode=WAL")
        conn.executescript(SESSIONS.format(s="agent_sessions", m=table))
        conn.executemany(f"INSERT INTO {table} (session_id, message_data) VALUES (?, ?)", rows)
        conn.commit()
    return path


def items(session: str = "s", found: list[dict[str, Any]] = ITEMS) -> list[tuple[Any, Any]]:
    return [(session, json.dumps(item)) for item in found]


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("table", ["agent_messages", "my_own"])
def test_a_database_tells_itself_and_nothing_beside_it_changes(
    run: Run, store: ChatStore, tmp_path: Path, table: str, wal: bool
) -> None:
    (tmp_path / "theirs").mkdir()
    file = sessions(tmp_path / "theirs" / "a.db", items("a") + items("b"), table, wal=wal)
    before = files(file.parent)
    for _ in range(2):
        result = run("import", file)
        assert (result.exit_code, result.stderr) == (0, "")
    assert files(file.parent) == before
    blocks = store.history("a").get_messages(kind="trace")
    assert [block.data["item"] for block in blocks] == ITEMS
    assert [block.type for block in blocks] == ["message", "function_call", "function_result", "message"]
    assert (blocks[2].parent_id, len(blocks[0].data["created_at"])) == (blocks[1].id, len("2026-11-21 00:00:00"))
    assert store.history("b").count() == 4


def test_what_is_in_the_log_of_a_killed_writer_is_read_and_the_log_stays(
    run: Run, store: ChatStore, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    file = sessions(tmp_path / "theirs" / "a.db", items())
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode=WAL')\n"
        "c.execute('INSERT INTO agent_messages (session_id, message_data) VALUES (?, ?)', ('s', sys.argv[2]))\n"
        "c.commit(); os._exit(0)"
    )
    last = json.dumps({"role": "user", "content": "in the log"})
    subprocess.run([sys.executable, "-c", code, file, last], check=True, timeout=30)
    before = files(file.parent)
    assert "a.db-wal" in before
    assert run("import", file).exit_code == 0
    after = files(file.parent)
    assert {name: after[name] for name in ("a.db", "a.db-wal")} == {name: before[name] for name in ("a.db", "a.db-wal")}
    assert store.history("s").get_messages(kind="transcript")[-1].text == "in the log"


def test_a_locked_database_is_refused_with_what_to_do(
    run: Run, store: ChatStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstore.databases.foreign._WAIT", 0.1)
    file = sessions(tmp_path / "a.db", items())
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("BEGIN EXCLUSIVE")
        result = run("import", file)
    assert result.exit_code == 1
    assert "a.db: refused: the database is locked by another program" in result.stderr
    assert run("import", file).exit_code == 0


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_damaged_database_is_refused_behind_what_could_be_read(
    run: Run, store: ChatStore, tmp_path: Path, damage: str
) -> None:
    file = sessions(tmp_path / "a.db", items(found=[{"role": "user", "content": "x" * 900}] * 3_000))
    with file.open("r+b") as raw:
        if damage == "cut":
            os.truncate(raw.fileno(), 1_000_000)
        else:
            raw.seek(1_000_000)
            raw.write(os.urandom(500_000))
    result = run("import", file)
    assert result.exit_code == 1
    assert "a.db: refused: the database is damaged" in result.stderr or "refused" in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_rows_that_are_no_items_are_refused_by_their_number(run: Run, store: ChatStore, tmp_path: Path) -> None:
    bad = ["{", b"\xff\x00", 7, "[]", '"x"', "null", '{"role": "user", "content": "\\ud800"}', '{"__enc__": 1}']
    deep = ['{"a":' * levels + "1" + "}" * levels for levels in (400, 5_000)]
    rows = [*items("s"), *(("s", one) for one in [*bad, *deep]), (b"\xff", "{}"), ("s\ud7ff\0", "{}"), *items("s")]
    result = run("import", sessions(tmp_path / "a.db", rows))
    assert result.exit_code == 1
    refused = [line.partition("agent_messages row ")[2].partition(":")[0] for line in result.stderr.splitlines()]
    assert refused == [str(number) for number in range(5, 17)]
    assert "row 12: refused: it is encrypted" in result.stderr
    assert store.history("s").count() == 8


def test_text_that_is_not_utf8_is_refused(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = sessions(tmp_path / "a.db", items())
    with closing(sqlite3.connect(file)) as conn:
        text = b'{"role": "user", "content": "\xff"}'
        conn.execute("INSERT INTO agent_messages (session_id, message_data) VALUES ('s', CAST(? AS TEXT))", (text,))
        conn.commit()
    result = run("import", file)
    assert (result.exit_code, store.history("s").count()) == (1, 4)
    assert "agent_messages row 5: refused: " in result.stderr


def test_items_of_every_kind_make_blocks(run: Run, store: ChatStore, tmp_path: Path) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    found = [
        {"role": "system", "content": "Be short"},
        {"role": "user", "content": [{"type": "input_image", "image_url": picture, "detail": "auto"}]},
        {"role": "assistant", "content": "easy"},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "sealed"},
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "mcp_call", "id": "mc", "name": "n", "arguments": "{}", "server_label": "l", "output": "out"},
        {"type": "function_call_output", "call_id": "z", "output": [{"type": "input_image", "image_url": picture}]},
        {"type": "item_reference", "id": "i"},
        {"type": "reasoning", "id": "empty", "summary": []},
        {},
    ]
    run("import", sessions(tmp_path / "a.db", items(found=found)))
    blocks = store.history("s").get_messages(kind="trace")
    kept = [block.data["item"] for block in blocks if "item" in block.data]
    assert kept == found
    assert [block.type for block in blocks] == [
        *("message", "message", "message", "reasoning", "status", "function_call", "function_result"),
        *("function_result", "status", "item", "status"),
    ]
    assert [len(block.parts) for block in blocks if block.parts] == [1, 1]


def test_databases_of_others_are_refused(run: Run, store: ChatStore, path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as conn:
        conn.execute("CREATE TABLE t (a)")
    assert "has neither sessions of OpenAI Agents" in run("import", tmp_path / "other.db").stderr
    assert "no table of it has the columns" in run("import", tmp_path / "other.db", "--format", "langchain").stderr
    assert "is the store that is imported into" in run("import", path).stderr
    (tmp_path / "text.jsonl").write_text("[]")
    assert "it is no database" in run("import", tmp_path / "text.jsonl", "--format", "openai-agents").stderr
    assert "which no import of agui reads" in run("import", tmp_path / "other.db", "--format", "agui").stderr
    assert store.history("x").count() == 0


def test_messages_of_langchain_tell_themselves(run: Run, store: ChatStore, tmp_path: Path) -> None:
    said = [
        {"type": "human", "data": {"content": "Hi", "type": "human"}},
        {"type": "ai", "data": {"content": "", "tool_calls": [{"name": "f", "args": {}, "id": "c"}]}},
        {"type": "tool", "data": {"content": "done", "tool_call_id": "c"}},
    ]
    with closing(sqlite3.connect(tmp_path / "l.db")) as conn:
        conn.execute("CREATE TABLE message_store (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)")
        rows = [("s", json.dumps(one)) for one in said]
        conn.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows)
        conn.commit()
    assert run("import", tmp_path / "l.db", "--prefix", "old/").exit_code == 0
    blocks = store.history("old/s").get_messages(kind="trace")
    assert [(block.type, block.text) for block in blocks] == [
        ("message", "Hi"),
        ("function_call", "{}"),
        ("function_result", "done"),
    ]
    assert [block.data["item"] for block in blocks] == said


@pytest.mark.slow
def test_many_sessions_of_many_pages_keep_their_order(run: Run, store: ChatStore, tmp_path: Path) -> None:
    rows = [(f"s{n % 3}", json.dumps({"role": "user", "content": str(n)})) for n in range(2_200)]
    assert run("import", sessions(tmp_path / "a.db", rows)).exit_code == 0
    for number in range(3):
        texts = [block.text for block in store.history(f"s{number}").get_messages()]
        assert texts == [str(n) for n in range(2_200) if n % 3 == number]
