"""What `chatstore import` says of files that are empty, of another format, or nothing at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from claude_log import Log
from test_import_databases import items, sessions
from typer.testing import Result

from chatstore import ChatStore

Run = Callable[..., Result]
GOOD = json.dumps({"id": "a", "messages": [{"role": "user", "content": "Hi"}]})


@pytest.mark.parametrize("format", [[], ["--format", "claude-code"], ["--format", "agui"]])
def test_a_file_that_has_nothing_good_is_refused_in_a_few_lines(run: Run, tmp_path: Path, format: list[str]) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n" * 500)
    result = run("import", tmp_path / "x.jsonl", *format)
    assert result.exit_code == 1
    *first, last = result.stderr.splitlines()
    assert [line.partition("x.jsonl:")[2][:11] for line in first] == ["1: refused:", "2: refused:", "3: refused:"]
    assert last.endswith("x.jsonl: nothing in it could be imported: 497 more are refused as well")
    assert "500 refused" in result.stdout


def test_all_is_told_of_a_file_that_has_something_good(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n" * 5 + GOOD + "\n{}\n")
    result = run("import", tmp_path / "x.jsonl")
    assert [line.partition("x.jsonl:")[2][0] for line in result.stderr.splitlines()] == [*"12345", "7"]


@pytest.mark.parametrize("format", [[], ["--format", "claude-code"], ["--format", "agui"]])
def test_a_file_that_is_empty_is_told(run: Run, tmp_path: Path, format: list[str]) -> None:
    (tmp_path / "full.jsonl").write_text(GOOD)
    (tmp_path / "empty.jsonl").write_text("")
    run("import", tmp_path / "full.jsonl")
    result = run("import", tmp_path / "empty.jsonl", *format)
    assert result.exit_code == 0
    assert result.stderr.endswith("empty.jsonl: nothing is in it\n")
    assert "1 without messages" in result.stdout


def test_a_compressed_database_says_what_to_do(run: Run, store: ChatStore, tmp_path: Path) -> None:
    content = sessions(tmp_path / "a.db", items()).read_bytes()
    (tmp_path / "a.db.gz").write_bytes(gzip.compress(content))
    for format in [], ["--format", "openai-agents"]:
        assert "uncompress it first" in run("import", tmp_path / "a.db.gz", *format).stderr
    assert "give the name of its file" in run("import", "-", input=content).stderr
    assert not store.contexts()


def test_a_directory_without_logs_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    result = run("import", tmp_path / "none")
    assert result.exit_code == 2
    assert "has no logs of Claude Code" in result.stderr


def test_where_a_line_is_no_json_is_said_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": "\x01"}')
    assert "not JSON: Invalid control character at character 7" in run("import", tmp_path / "x.jsonl").stderr


def test_a_log_that_comes_twice_is_counted_once(run: Run, tmp_path: Path) -> None:
    log = Log("s")
    log.user("Go")
    file = log.write(tmp_path / "s.jsonl")
    log.write(tmp_path / "copy" / "s.jsonl")
    result = run("import", file, tmp_path / "copy" / "s.jsonl", file)
    assert result.stdout.startswith("imported 1 conversations: 1 messages, 1 blocks, 2 bytes")
