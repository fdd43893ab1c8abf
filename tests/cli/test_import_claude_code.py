"""`chatstore import` of logs of Claude Code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from claude_log import SESSION, USAGE, WHOLE, Log, agent, session
from typer.testing import Result

from chatstore import Block, ChatStore

Run = Callable[..., Result]


def trace(store: ChatStore, context: str = SESSION) -> list[Block]:
    return store.history(context).get_messages(kind="trace")


def said(store: ChatStore, context: str = SESSION) -> list[tuple[str | None, str]]:
    return [(block.role, block.text) for block in store.history(context).get_messages(kind="transcript")]


def test_a_session_is_a_context_with_what_was_said_thought_and_done(run: Run, store: ChatStore, tmp_path: Path) -> None:
    result = run("import", session().write(tmp_path / f"{SESSION}.jsonl"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert [(block.type, block.role, block.internal, block.text) for block in trace(store)] == [
        ("queue_operation", None, True, "Fix"),
        ("file_history_snapshot", None, True, ""),
        ("message", "user", False, "Fix the test"),
        ("reasoning", "assistant", False, "I look first."),
        ("message", "assistant", False, "I look."),
        ("function_call", "assistant", False, '{"file_path":"a.py"}'),
        ("function_result", "tool", False, "1\tassert False"),
        ("message", "user", True, "<system-reminder>Be brief</system-reminder>"),
        ("attachment", None, True, ""),
        ("message", "user", False, "See"),
        ("status", None, False, "Conversation compacted"),
        ("message", "user", True, "This session is being continued"),
        ("message", "assistant", False, "Done."),
        ("summary", None, True, "Fixing a test"),
    ]
    assert said(store) == [("user", "Fix the test"), ("assistant", "I look."), ("user", "See"), ("assistant", "Done.")]


def test_calls_thoughts_pictures_and_compactions_are_kept_whole(run: Run, store: ChatStore, tmp_path: Path) -> None:
    log = session()
    run("import", log.write(tmp_path / f"{SESSION}.jsonl"))
    blocks = trace(store)
    assert blocks[3].data["signature"] == "c2ln"
    assert blocks[5].data["arguments"] == {"file_path": "a.py"}
    assert blocks[6].parent_id == blocks[5].id
    assert store.read_bytes(blocks[9].parts[0]) == b"\x89PNG\r\n\x1a\n"
    assert blocks[10].tags[0].model_dump() == {
        "kind": "claude_code",
        "name": "compact_boundary",
        "value": {"trigger": "auto", "preTokens": 155_000},
    }
    assert [block.data["timestamp"] for block in blocks[2:4]] == [
        "2026-11-21T02:00:02.000Z",
        "2026-11-21T02:00:03.000Z",
    ]
    kept = [block.data["entry"] for block in blocks]
    for entry, found in zip(log.entries, kept, strict=True):
        message = {name: value for name, value in entry.get("message", {}).items() if name not in ("content", "usage")}
        assert found == {**entry, **({"message": message} if message else {})}


def test_usage_of_a_message_in_several_entries_is_counted_once_as_the_last_tells_it(
    run: Run, store: ChatStore, tmp_path: Path
) -> None:
    run("import", session().write(tmp_path / f"{SESSION}.jsonl"))
    assert [block.usage for block in trace(store) if block.usage is not None] == [WHOLE, USAGE]


def test_a_session_that_goes_on_is_gone_on_with_and_nothing_is_doubled(
    run: Run, store: ChatStore, tmp_path: Path
) -> None:
    whole, part = session(), session()
    del part.entries[5:]  # in the middle of a message
    file = part.write(tmp_path / f"{SESSION}.jsonl")
    run("import", file)
    assert len(trace(store)) == 5
    whole.write(file)
    assert run("import", file).stdout.startswith("imported 1 conversations: 9 messages, 9 blocks")
    assert [block.usage for block in trace(store) if block.usage is not None] == [WHOLE, USAGE]
    head = store.history(SESSION).head()
    result = run("import", file)
    assert (result.exit_code, store.history(SESSION).head()) == (0, head)
    assert "1 stored before" in result.stdout


def test_an_entry_that_a_log_has_twice_is_stored_once(run: Run, store: ChatStore, tmp_path: Path) -> None:
    log = session()
    log.entries[7:7] = log.entries[2:6]
    run("import", log.write(tmp_path / f"{SESSION}.jsonl"))
    assert len(trace(store)) == 14


def test_a_last_line_that_is_broken_off_is_refused_and_the_rest_is_imported(
    run: Run, store: ChatStore, tmp_path: Path
) -> None:
    file = session().write(tmp_path / f"{SESSION}.jsonl", b'{"type":"assistant","message":{"content":[{"te')
    result = run("import", file)
    assert result.exit_code == 1
    assert f"{SESSION}.jsonl:15: refused: not JSON" in result.stderr
    assert len(trace(store)) == 14


@pytest.mark.parametrize("format", [[], ["--format", "claude-code"]])
def test_a_directory_is_read_with_the_agents_of_its_sessions(
    run: Run, store: ChatStore, tmp_path: Path, format: list[str]
) -> None:
    other = "0a1b2c3d-0000-4000-8000-000000000002"
    projects = tmp_path / "projects"
    agent().write(projects / "-home-ann-code" / SESSION / "subagents" / "agent-a1f3.jsonl")
    (projects / "-home-ann-code" / SESSION / "tool-results").mkdir()
    session().write(projects / "-home-ann-code" / f"{SESSION}.jsonl")
    session(other).write(projects / "-tmp" / f"{other}.jsonl")
    result = run("import", projects, *format)
    assert (result.exit_code, result.stderr) == (0, "")
    below = f"{SESSION}/agents/a1f3"
    assert sorted(context.context_id for context in store.contexts()) == [SESSION, below, other]
    first, last = trace(store, below)
    assert [(block.text, block.author, block.internal) for block in (first, last)] == [
        ("Search for tests", "a1f3", True),
        ("Found one.", "a1f3", True),
    ]
    assert len(said(store)) == 4


def test_a_directory_without_logs_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("import", tmp_path / "empty").exit_code == 2


def test_compressed_logs_and_standard_input_are_known_too(run: Run, store: ChatStore, tmp_path: Path) -> None:
    content = session().write(tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "zipped.jsonl.gz").write_bytes(gzip.compress(content))
    assert run("import", tmp_path / "zipped.jsonl.gz").exit_code == 0
    assert len(trace(store, "zipped")) == 14
    assert run("import", "-", input=content).exit_code == 0
    assert len(trace(store, SESSION)) == 14


def test_tools_of_the_provider_and_what_is_not_known_are_kept(run: Run, store: ChatStore, tmp_path: Path) -> None:
    log = Log()
    log.assistant("m", {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}})
    found = [{"type": "web_search_result", "url": "https://x.org"}]
    log.assistant("m", {"type": "web_search_tool_result", "tool_use_id": "s1", "content": found})
    log.assistant("m", {"type": "redacted_thinking", "data": "sealed"})
    log.assistant("m", {"type": "from_the_future", "text": "?", "more": 1})
    log.user([{"type": "tool_result", "tool_use_id": "none", "content": [{"type": "tool_reference", "name": "x"}]}])
    log.user([{"type": "tool_result", "tool_use_id": "e", "content": "no", "is_error": True}])
    log.beside("ai-title", aiTitle="Title", sessionId=SESSION)
    assert run("import", log.write(tmp_path / "a.jsonl")).exit_code == 0
    blocks = trace(store, "a")
    assert [block.type for block in blocks] == [
        *("status", "status", "reasoning", "status", "function_result", "function_result", "ai_title")
    ]
    assert blocks[1].parent_id == blocks[0].id
    assert blocks[1].data["content"] == found
    assert blocks[2].data["redacted_thinking"] == "sealed"
    assert blocks[3].data["item"]["more"] == 1
    assert blocks[4].data["item"]["content"] == [{"type": "tool_reference", "name": "x"}]
    assert blocks[5].data["is_error"] is True


def test_parents_that_run_in_circles_change_nothing(run: Run, store: ChatStore, tmp_path: Path) -> None:
    log = session()
    for entry in log.entries:
        entry["parentUuid"] = entry.get("uuid")
    log.entries[2]["parentUuid"], log.entries[3]["parentUuid"] = log.entries[3]["uuid"], log.entries[2]["uuid"]
    assert run("import", log.write(tmp_path / "a.jsonl")).exit_code == 0
    assert len(trace(store, "a")) == 14


def test_an_import_of_a_prompt_is_what_a_provider_takes(run: Run, store: ChatStore, tmp_path: Path) -> None:
    run("import", session().write(tmp_path / "a.jsonl"))
    result = run("export", "a", "--format", "anthropic")
    assert result.exit_code == 0
    roles = [message["role"] for message in json.loads(result.stdout)["messages"]]
    assert roles[:3] == ["user", "assistant", "user"]


def prompt(store: ChatStore, context: str = SESSION) -> list[str]:
    return [block.text for block in store.history(context).get_messages(kind="prompt")]


@pytest.mark.parametrize("named", [True, False])
def test_what_agents_say_is_in_a_context_of_theirs_and_in_no_prompt_of_the_session(
    run: Run, store: ChatStore, tmp_path: Path, named: bool
) -> None:
    log = Log()
    log.user("Go")
    asked = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"prompt": "Look for a"}}
    log.assistant("m1", asked)
    log.assistant("m2", {**asked, "id": "t2", "input": {"prompt": "Look for b"}})
    for name in "ab":
        own = {"isSidechain": True, **({"agentId": name} if named else {})}
        log.user(f"Look for {name}", **own)
        log.entries[-1]["parentUuid"] = None
        log.assistant(f"s{name}", {"type": "text", "text": f"Found {name}"}, **own)
    first, second = log.entries[3]["uuid"], log.entries[5]["uuid"]
    for name, call in (("a", "t1"), ("b", "t2")):
        done = {"type": "tool_result", "tool_use_id": call, "content": f"done {name}"}
        log.user([done], toolUseResult={"agentId": name} if named else {"status": "completed"})
    log.assistant("m3", {"type": "text", "text": "Both."})
    for _ in range(2):
        assert run("import", log.write(tmp_path / f"{SESSION}.jsonl")).exit_code == 0
    calls = ['{"prompt":"Look for a"}', '{"prompt":"Look for b"}']
    assert prompt(store) == ["Go", *calls, "done a", "done b", "Both."]
    agents = ["a", "b"] if named else [first, second]
    tags = [(block.data["call_id"], tag.name, tag.value) for block in trace(store) for tag in block.tags]
    assert tags == [("t1", "agent", agents[0]), ("t2", "agent", agents[1])]
    for name, agent_id in zip("ab", agents, strict=True):
        below = f"{SESSION}/agents/{agent_id}"
        assert prompt(store, below) == [f"Look for {name}", f"Found {name}"]
        assert said(store, below) == []
    assert run("import", tmp_path / f"{SESSION}.jsonl", "--context", "one").exit_code == 0
    assert len(prompt(store, f"one/agents/{agents[1]}")) == 2


def test_what_the_program_tells_the_model_is_in_the_prompt_alone(run: Run, store: ChatStore, tmp_path: Path) -> None:
    run("import", session().write(tmp_path / "a.jsonl"))
    told = "<system-reminder>Be brief</system-reminder>"
    assert told in prompt(store, "a")
    assert told not in [text for _, text in said(store, "a")]


def test_lines_before_the_session_is_known_wait_for_it(run: Run, store: ChatStore, tmp_path: Path) -> None:
    log = Log()
    log.beside("summary", summary="Before", leafUuid="x")
    log.user("Go")
    assert run("import", "-", input=log.write(tmp_path / "a.jsonl").read_bytes()).exit_code == 0
    assert [context.context_id for context in store.contexts()] == [SESSION]
    assert [block.text for block in trace(store)] == ["Before", "Go"]
