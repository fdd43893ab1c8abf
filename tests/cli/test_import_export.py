"""`chatstore import` and `chatstore export`."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_process import COMMAND, DEADLINE
from data_support import canonical
from typer.testing import Result

from chatstore import ChatStore
from chatstore.formats.openai_chat import to_drafts
from chatstore.importing.conversations import append

Run = Callable[..., Result]

CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
    {"role": "assistant", "content": "Done.", "annotations": []},
]


def write(path: Path, *lines: object) -> Path:
    encoded = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    content = b"".join(line + b"\n" for line in encoded)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def exported(run: Run, *arguments: object) -> list[dict[str, Any]]:
    result = run("export", *arguments)
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", ["chats.jsonl", "chats.jsonl.gz"])
def test_an_export_gives_back_what_was_imported(run: Run, tmp_path: Path, name: str) -> None:
    records = [{"id": f"c{number}", "messages": CONVERSATION[: number + 1]} for number in range(4)]
    result = run("import", write(tmp_path / name, *records))
    assert result.exit_code == 0
    assert result.stdout.startswith("imported 4 conversations: 10 messages, 10 blocks, 27 bytes of text in ")
    assert canonical(exported(run)) == canonical(records)
    assert canonical(exported(run, "c2", "c1")) == canonical([records[2], records[1]])


def test_gzip_is_known_by_its_first_bytes(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.gz", {"id": "c", "messages": CONVERSATION}).rename(tmp_path / "a.jsonl")
    assert run("import", tmp_path / "a.jsonl").exit_code == 0
    assert [record["id"] for record in exported(run)] == ["c"]


@pytest.mark.parametrize("compressed", [False, True])
def test_standard_input_is_read(run: Run, compressed: bool) -> None:
    line = json.dumps(CONVERSATION).encode()
    assert run("import", "-", input=gzip.compress(line) if compressed else line).exit_code == 0
    assert canonical(exported(run)) == canonical([{"id": "stdin-1", "messages": CONVERSATION}])


def test_a_pipe_is_read_by_its_name(run: Run, tmp_path: Path) -> None:
    line = json.dumps(CONVERSATION).encode()
    subprocess.run([*COMMAND, "import", "/dev/stdin"], cwd=tmp_path, input=line, check=True, timeout=DEADLINE)
    assert canonical(exported(run)) == canonical([{"id": "stdin-1", "messages": CONVERSATION}])


def test_single_messages_make_one_conversation_named_like_the_file(run: Run, tmp_path: Path) -> None:
    assert run("import", write(tmp_path / "support.jsonl", *CONVERSATION)).exit_code == 0
    assert canonical(exported(run)) == canonical([{"id": "support", "messages": CONVERSATION}])


def test_a_repeated_import_adds_nothing(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"id": "a", "messages": CONVERSATION}, CONVERSATION)
    run("import", file)
    heads = [context.head for context in store.contexts()]
    result = run("import", file)
    assert (result.exit_code, [context.head for context in store.contexts()]) == (0, heads)
    assert "imported 0 conversations" in result.stdout
    assert "2 stored before, and left as they are" in result.stdout


def test_other_messages_for_an_imported_context_are_refused(run: Run, store: ChatStore, tmp_path: Path) -> None:
    run("import", write(tmp_path / "a.jsonl", {"id": "c", "messages": CONVERSATION[:1]}))
    result = run("import", write(tmp_path / "b.jsonl", {"id": "c", "messages": CONVERSATION}))
    assert result.exit_code == 1
    assert "b.jsonl:1: refused: context 'c' holds an import of another conversation" in result.stderr
    assert store.history("c").count() == 1


def test_a_prefix_goes_before_the_ids(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path / "a.jsonl", {"id": "c", "messages": CONVERSATION}), "--prefix", "old/")
    assert [record["id"] for record in exported(run)] == ["old/c"]


def test_a_context_names_a_single_conversation(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"id": "c", "messages": CONVERSATION}, CONVERSATION)
    result = run("import", file, "--context", "mine")
    assert result.exit_code == 1
    assert "a.jsonl:2: refused: --context is for a single conversation" in result.stderr
    assert canonical(exported(run)) == canonical([{"id": "mine", "messages": CONVERSATION}])


def test_a_refused_record_is_named_and_leaves_nothing_while_the_others_are_imported(run: Run, tmp_path: Path) -> None:
    good = {"id": "good", "messages": CONVERSATION}
    lone = {"id": "lone", "messages": [*CONVERSATION, {"role": "user", "content": "\ud800"}]}
    name = {"id": "x" * 1_001, "messages": CONVERSATION}
    result = run("import", write(tmp_path / "a.jsonl", b"{", lone, good, name, {"id": "empty", "messages": []}))
    assert result.exit_code == 1
    first, second, third = result.stderr.splitlines()
    assert first.endswith(
        "a.jsonl:1: refused: not JSON: Expecting property name enclosed in double quotes at character 2"
    )
    assert "a.jsonl:2: refused: a string in message 4 has a lone surrogate (U+D800)" in second
    assert "a.jsonl:4: refused: the context id has 1,001 characters" in third
    assert "3 refused" in result.stdout
    assert "1 without messages, and left out" in result.stdout
    assert canonical(exported(run)) == canonical([good])


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_damaged_gzip_is_refused_behind_what_could_be_read(run: Run, tmp_path: Path, damage: str) -> None:
    noise = os.urandom(200_000).hex()
    file = write(tmp_path / "a.jsonl.gz", CONVERSATION, [{"role": "user", "content": noise}])
    content = bytearray(file.read_bytes())
    if damage == "garbled":
        content[-100_000:-90_000] = bytes(10_000)
    file.write_bytes(content[:-1_000])
    result = run("import", file)
    assert result.exit_code == 1
    assert "a.jsonl.gz: refused: the compressed data is damaged or ends early" in result.stderr
    assert [record["id"] for record in exported(run)][:1] == ["a-1"]


def test_a_missing_file_stops_the_import_before_it_begins(run: Run, path: Path, tmp_path: Path) -> None:
    result = run("import", write(tmp_path / "a.jsonl", CONVERSATION), tmp_path / "missing.jsonl")
    assert (result.exit_code, path.exists()) == (2, False)
    assert "missing.jsonl is no file" in result.stderr
    assert run("import", tmp_path).exit_code == 2


def test_an_interrupted_import_says_how_to_go_on(run: Run, path: Path, tmp_path: Path) -> None:
    reader = subprocess.Popen([*COMMAND, "import", "-"], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reader.stdin is not None
    reader.stdin.write(json.dumps(CONVERSATION).encode() + b"\n" + b" " * 300_000)
    reader.stdin.flush()
    with ChatStore(path) as store, store.history("stdin-1").subscribe(timeout=DEADLINE) as changes:
        next(changes)
    reader.send_signal(2)
    _, stderr = reader.communicate(timeout=DEADLINE)
    assert (reader.returncode, stderr.decode()) == (130, "stopped; the same command goes on from here\n")
    assert canonical(exported(run)) == canonical([{"id": "stdin-1", "messages": CONVERSATION}])


@pytest.mark.slow
def test_a_terminal_shows_a_bar_and_what_is_refused(path: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "a\x1b[2J.jsonl", CONVERSATION, b"{")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [*COMMAND, "import", file], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as importing:
        os.close(theirs)
        shown = _read_all(ours)
    assert importing.returncode == 1
    assert "━" in shown
    assert "refused: not JSON" in shown
    assert "\x1b[2J" not in shown


def _read_all(terminal: int) -> str:
    """What was written to a terminal until its other side was closed, which reads as an error."""
    found = b""
    try:
        while chunk := os.read(terminal, 65_536):
            found += chunk
    except OSError:
        pass
    finally:
        os.close(terminal)
    return found.decode()


def test_a_conversation_beyond_one_append_is_resumed_between_two(store: ChatStore) -> None:
    drafts = to_drafts(CONVERSATION * 3)
    whole, resumed = store.history("whole"), store.history("resumed")
    append(whole, drafts)
    append(resumed, drafts[:4], batch=2)
    for _ in range(2):
        append(resumed, drafts, batch=2)
    for one, other in zip(whole.get_messages(), resumed.get_messages(), strict=True):
        assert (one.type, one.text, one.data) == (other.type, other.text, other.data)
    for history in whole, resumed:
        blocks = history.get_messages()
        assert [blocks[place].parent_id for place in (2, 6, 10)] == [blocks[place].id for place in (1, 5, 9)]


def test_a_parent_two_appends_ago_is_found(store: ChatStore) -> None:
    call = {**CONVERSATION[1], "content": "I look."}
    drafts = to_drafts([call, CONVERSATION[0], CONVERSATION[0], CONVERSATION[2]])
    append(store.history("c"), drafts, batch=1)
    said, asked, _, _, answered = store.history("c").get_messages()
    assert (asked.parent_id, answered.parent_id) == (said.id, asked.id)


def test_an_exported_file_is_whole_or_not_there(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path / "a.jsonl", {"id": "c", "messages": CONVERSATION}))
    for name, opened in (("out.jsonl", open), ("out.jsonl.gz", gzip.open)):
        assert run("export", "--output", tmp_path / name).exit_code == 0
        with opened(tmp_path / name, "rb") as lines:
            assert [json.loads(line)["id"] for line in lines] == ["c"]
    before = sorted(tmp_path.iterdir())
    with ChatStore("chatstore.db") as store:
        store.history("d").append_user_message("x", data={"openai_chat": {"blocks": 1, "without": 5}})
    assert run("export", "--output", tmp_path / "half.jsonl").exit_code == 2
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_an_export_never_takes_the_place_of_a_store(run: Run, store: ChatStore, tmp_path: Path, end: str) -> None:
    store.history("c").append_user_message("Hi")
    (tmp_path / "link.jsonl").symlink_to(f"{store.path}{end}")
    there = {path: path.stat().st_ino for path in tmp_path.iterdir() if path.exists()}
    for target in (f"{store.path}{end}", "link.jsonl"):
        for overwrite in ((), ("--overwrite",)):
            refused = run("export", "-o", target, *overwrite)
            assert refused.exit_code == 2
            assert "the store itself" in refused.stderr or "a part of the database" in refused.stderr
    assert {path: path.stat().st_ino for path in tmp_path.iterdir() if path.exists()} == there


def test_an_export_replaces_a_file_only_when_told(run: Run, store: ChatStore, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("mine")
    refused = run("export", "-o", "mine.jsonl")
    assert refused.exit_code == 2 and "already" in refused.stderr
    assert (tmp_path / "mine.jsonl").read_text() == "mine"
    assert run("export", "-o", "mine.jsonl", "--overwrite").exit_code == 0
    assert (tmp_path / "mine.jsonl").read_text() == ""


def test_two_exports_are_the_same_bytes(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path / "a.jsonl", CONVERSATION))
    for name in ("one.gz", "two.gz"):
        run("export", "-o", tmp_path / name)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_what_is_not_there_is_not_exported(run: Run, store: ChatStore, tmp_path: Path) -> None:
    store.history("c").append_user_message("Hi")
    missing = run("export", "c", "missing")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "there is no context 'missing'" in missing.stderr
    assert run("export", "--store", tmp_path / "none.db").exit_code == 1
    assert run("export", "--output", tmp_path).exit_code == 2
    assert run("export", "--output", tmp_path / "no" / "where.jsonl").exit_code == 2


def test_an_export_never_acts_on_a_terminal(run: Run, store: ChatStore) -> None:
    evil = "\x1b[2J\x9b2J\u202e\x7f\u2028"
    store.history(evil).append_user_message(evil)
    result = run("export")
    assert all(character.isprintable() for character in result.stdout.removesuffix("\n"))
    assert json.loads(result.stdout) == {"id": evil, "messages": [{"role": "user", "content": evil}]}
