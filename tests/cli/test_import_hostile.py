"""Files that are made to break an import: refused with their place, and never a traceback."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claude_log import SESSION, session
from test_import_agui import ONE_RUN
from test_import_databases import items, sessions
from typer.testing import Result

from chatstore import ChatStore
from chatstore.formats import jsonl

Run = Callable[..., Result]

STATE: dict[str, Any] = {
    "type": "TeamState",
    "version": "1.0.0",
    "agent_states": {
        "writer": {"agent_state": {"llm_context": {"messages": [{"type": "UserMessage", "content": "only he knows"}]}}},
        "Manager": {
            "message_thread": [
                {"id": "1", "type": "TextMessage", "source": "user", "content": "Hi"},
                {"id": "2", "type": "ToolCallRequestEvent", "source": "w", "content": [{"id": "c", "name": "f"}]},
                {"id": "3", "type": "ToolCallExecutionEvent", "source": "w", "content": [{"call_id": "c"}]},
                {"id": "4", "type": "StructuredMessage[Plan]", "source": "w", "content": {"steps": [1]}},
            ]
        },
    },
}
VALUES: list[Any] = [None, 1, -1.5, True, "", "\0", "\ud800", [], {}, [[]], [None, 1, "x", {"type": 1}], "x" * 2_000]
VALUES += [2**70, {"type": "text", "text": None}, [{"type": "image", "source": {"type": "base64", "data": "%%"}}]]


def survived(result: Result) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1), result.output
    assert (result.exit_code == 1) == ("refused" in result.stdout), result.output


def changed(entries: list[Any], dice: random.Random) -> list[Any]:
    """Entries of which some members, at any depth, have become something else, or are gone."""
    found = json.loads(json.dumps(entries))
    for _ in range(dice.randint(1, 4)):
        holder = dice.choice(found)
        while isinstance(holder, (dict, list)) and holder:
            key = dice.choice([*holder]) if isinstance(holder, dict) else dice.randrange(len(holder))
            if dice.random() < 0.5 or not isinstance(holder[key], (dict, list)):
                holder[key] = json.loads(json.dumps(dice.choice(VALUES)))
                break
            holder = holder[key]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("format", ["claude-code", "agui", "autogen", "openai-agents", "langchain"])
def test_members_of_any_type_are_stored_or_refused(run: Run, store: ChatStore, tmp_path: Path, format: str) -> None:
    dice = random.Random(format)
    human = {"type": "human", "data": {"content": [{"type": "text", "text": "Hi"}], "name": "n"}}
    ai = {"type": "ai", "data": {"content": "x", "tool_calls": [{"name": "f", "args": {}, "id": "c"}]}}
    kinds: dict[str, list[Any]] = {"claude-code": session().entries, "agui": ONE_RUN, "autogen": [STATE]}
    kinds |= {"langchain": [human, ai, {"type": "tool", "data": {"content": "x", "tool_call_id": "c"}}]}
    for number in range(25):
        file = tmp_path / f"{number}.jsonl"
        entries = changed(kinds.get(format) or [json.loads(item) for _, item in items()], dice)
        if format in kinds and format != "langchain":
            file.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
        else:
            column = "message" if format == "langchain" else "message_data"
            sessions(file, [(f"s{number}", json.dumps(entry)) for entry in entries])
            rename(file, column)
        survived(run("import", file, "--format", format, "--prefix", f"{number}/"))


def rename(file: Path, column: str) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(file)) as conn:
        conn.execute(f"ALTER TABLE agent_messages RENAME COLUMN message_data TO {column}")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["claude-code", "agui", "autogen", "openai-agents", "langchain"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x00" * 500,
        bytes(range(256)) * 20,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b"NaN\n",
        b'"text"\n[]\n1\n',
        b'{"type": 1}\n{"type": null}\n{"type": []}',
        b"\x1f\x8b not gzip",
        b"SQLite format 3\0 and no more of it",
        b"data: {\n\ndata\ndata:\n\ndata: [DONE]\n\n: x\n",
        "\ufeff{}".encode("utf-16"),
    ],
    ids=range(14),
)
def test_garbage_is_refused(run: Run, store: ChatStore, tmp_path: Path, format: str, content: bytes) -> None:
    (tmp_path / "garbage").write_bytes(content)
    result = run("import", tmp_path / "garbage", "--format", format)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1)
    survived(run("import", tmp_path / "garbage"))
    assert not store.contexts()


def test_a_line_of_ten_megabytes_is_imported(run: Run, store: ChatStore, tmp_path: Path) -> None:
    log = session()
    log.user("x" * 10_000_000)
    assert run("import", log.write(tmp_path / f"{SESSION}.jsonl")).exit_code == 0
    assert len(store.history(SESSION).get_messages(kind="trace", last=1)[0].text) == 10_000_000


def test_what_is_too_large_for_a_block_is_refused_and_the_rest_is_imported(
    run: Run, store: ChatStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstore.formats.jsonl.LONGEST", 1_000)
    log = session()
    log.entries[2]["message"]["content"] = "x" * 5_000
    result = run("import", log.write(tmp_path / f"{SESSION}.jsonl"), "--format", "claude-code")
    assert f"{SESSION}.jsonl:3: refused: a line of more than 1,000 bytes" in result.stderr
    assert store.history(SESSION).count() == 13


def test_what_was_erased_stays_erased(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = session().write(tmp_path / f"{SESSION}.jsonl")
    run("import", file)
    store.history(SESSION).erase()
    result = run("import", file)
    assert result.exit_code == 1
    assert "erased" in result.stderr


def test_a_state_of_autogen_is_read_without_its_package(run: Run, store: ChatStore, tmp_path: Path) -> None:
    (tmp_path / "team.json").write_text(json.dumps(STATE, indent=2))
    assert run("import", tmp_path / "team.json").exit_code == 0
    blocks = store.history("team").get_messages(kind="trace")
    assert [(block.type, block.text, block.internal) for block in blocks] == [
        ("message", "Hi", False),
        ("function_call", "", False),
        ("function_result", "", False),
        ("message", '{"steps": [1]}', False),
        ("message", "only he knows", True),
    ]


def test_a_context_of_ones_own_is_for_one_conversation(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = sessions(tmp_path / "a.db", items("a") + items("b"))
    result = run("import", file, "--context", "mine")
    assert result.exit_code == 1
    assert result.stderr.count("--context is for a single conversation") == 4
    assert store.history("mine").count() == 4


@pytest.mark.parametrize("format", ["openai", "claude-code"])
def test_a_line_that_is_too_long_is_refused_whatever_reads_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(jsonl, "LONGEST", 100_000)
    (tmp_path / "chat.jsonl").write_bytes(b"x" * 1_000_000)
    result = run("import", tmp_path / "chat.jsonl", "--format", format)
    survived(result)
    assert ":1: refused: a line of more than 100,000 bytes" in result.stderr
