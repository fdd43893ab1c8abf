"""`chatstore import` of conversations that have the same name in several places: none is mixed with another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from claude_log import Log
from test_import_databases import items, sessions
from typer.testing import Result

from chatstore import ChatStore

Run = Callable[..., Result]
Write = Callable[[Path, list[str]], Path]


def of_agents(path: Path, texts: list[str]) -> Path:
    """A session `default` of the OpenAI Agents SDK, written anew."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    sessions(path, items("default", [{"role": "user", "content": text} for text in texts]))
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE agent_messages SET created_at = '2026-11-21 00:00:00'")
        conn.commit()
    return path


def of_langchain(path: Path, texts: list[str]) -> Path:
    """The same of LangChain, which gives the ids of rows that are gone to others."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS message_store (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)")
        conn.execute("DELETE FROM message_store")
        rows = [("default", json.dumps({"type": "human", "data": {"content": text}})) for text in texts]
        conn.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows)
        conn.commit()
    return path


def texts(store: ChatStore, context: str = "default") -> list[str]:
    return [block.text for block in store.history(context).get_messages(kind="trace")]


@pytest.mark.parametrize("write", [of_agents, of_langchain])
@pytest.mark.parametrize("second", [["Hi", "other", "Bye"], ["Hello", "one", "Bye", "more"], ["Hi", "one", "By"]])
@pytest.mark.parametrize("together", [True, False])
def test_a_second_conversation_of_the_same_name_is_refused_as_a_whole(
    run: Run, store: ChatStore, tmp_path: Path, write: Write, second: list[str], together: bool
) -> None:
    files = [write(tmp_path / "p1" / "a.db", ["Hi", "one", "Bye"]), write(tmp_path / "p2" / "a.db", second)]
    if together:
        result = run("import", *files)
    else:
        assert run("import", files[0]).exit_code == 0
        result = run("import", files[1])
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "p2/a.db: " in line
    assert "context 'default' holds another conversation" in line
    assert "--prefix" in line
    assert "1 refused" in result.stdout
    assert "stored before" not in result.stdout
    assert texts(store) == ["Hi", "one", "Bye"]
    assert run("import", files[1], "--prefix", "p2/").exit_code == 0
    assert texts(store, "p2/default") == second


@pytest.mark.parametrize("write", [of_agents, of_langchain])
def test_a_source_that_goes_on_with_what_is_stored_goes_on(
    run: Run, store: ChatStore, tmp_path: Path, write: Write
) -> None:
    for said in (["a"], ["a", "a"], ["a"], ["a", "a", "b"]):
        assert run("import", write(tmp_path / "s.db", said)).exit_code == 0
    assert texts(store) == ["a", "a", "b"]


@pytest.mark.parametrize("write", [of_agents, of_langchain])
def test_a_session_that_was_cleared_is_refused_and_others_are_imported(
    run: Run, store: ChatStore, tmp_path: Path, write: Write
) -> None:
    file = write(tmp_path / "s.db", ["old 1", "old 2"])
    run("import", file)
    write(file, ["new 1", "new 2", "new 3"])
    with closing(sqlite3.connect(file)) as conn:
        table, column = ("message_store", "message") if write is of_langchain else ("agent_messages", "message_data")
        conn.execute(f"INSERT INTO {table} (session_id, {column}) SELECT 'other', {column} FROM {table}")
        conn.commit()
    result = run("import", file)
    assert (result.exit_code, result.stderr.count("refused")) == (1, 1)
    assert texts(store) == ["old 1", "old 2"]
    assert texts(store, "other") == ["new 1", "new 2", "new 3"]


def test_a_context_that_others_wrote_is_not_gone_on_with(run: Run, store: ChatStore, tmp_path: Path) -> None:
    store.history("default").append_user_message("Live")
    for write in of_agents, of_langchain:
        assert run("import", write(tmp_path / f"{write.__name__}.db", ["Hi"])).exit_code == 1
    assert texts(store) == ["Live"]


def test_sessions_of_several_tables_are_kept_apart(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = of_agents(tmp_path / "s.db", ["Hi"])
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("CREATE TABLE mine AS SELECT * FROM agent_messages")
        conn.execute("UPDATE mine SET message_data = replace(message_data, 'Hi', 'Mine')")
        conn.commit()
    for _ in range(2):
        assert run("import", file).exit_code == 0
    assert (texts(store), texts(store, "mine/default")) == (["Hi"], ["Mine"])


def test_logs_and_states_of_the_same_name_are_kept_apart(run: Run, store: ChatStore, tmp_path: Path) -> None:
    state = {"type": "TeamState", "agent_states": {"M": {"message_thread": []}}}
    for number in "12":
        log = Log(f"session {number}")
        log.user(f"log {number}")
        log.write(tmp_path / number / "log.jsonl")
        said = {"id": number, "type": "TextMessage", "source": "user", "content": f"state {number}"}
        state["agent_states"]["M"]["message_thread"] = [said]  # type: ignore[index]
        (tmp_path / number / "team.json").write_text(json.dumps(state))
    for name in "log.jsonl", "team.json":
        result = run("import", tmp_path / "1" / name, tmp_path / "2" / name)
        assert (result.exit_code, result.stderr.count("--prefix")) == (1, 1)
    assert (texts(store, "log"), texts(store, "team")) == (["log 1"], ["state 1"])


def test_what_comes_twice_is_counted_once(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = of_agents(tmp_path / "s.db", ["Hi", "you"])
    result = run("import", file, file)
    assert result.exit_code == 0
    assert result.stdout.startswith("imported 1 conversations: 2 messages, 2 blocks, 5 bytes")
