"""An import of another program's files that is killed while it writes goes on where it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from claude_log import SESSION, Log
from command_process import DEADLINE, Process
from test_import_databases import sessions
from typer.testing import Result

from chatstore import ChatStore

pytestmark = pytest.mark.slow

TURNS = 600


def claude_log(path: Path) -> Path:
    log = Log()
    for number in range(TURNS):
        log.user(f"q{number}")
        log.entries[-1]["uuid"] = f"q{number}"
        log.assistant(f"m{number}", {"type": "tool_use", "id": "again", "name": "f", "input": {"n": number}})
        log.entries[-1]["uuid"] = f"a{number}"
        log.user([{"type": "tool_result", "tool_use_id": "again", "content": f"r{number}"}])
        log.entries[-1]["uuid"] = f"r{number}"
    return log.write(path / f"{SESSION}.jsonl")


def database(path: Path) -> Path:
    items = []
    for number in range(TURNS):
        items.append({"role": "user", "content": f"q{number}"})
        items.append({"type": "function_call", "call_id": "again", "name": "f", "arguments": json.dumps({"n": number})})
        items.append({"type": "function_call_output", "call_id": "again", "output": f"r{number}"})
    return sessions(path / "a.db", [(SESSION, json.dumps(item)) for item in items])


@pytest.mark.parametrize("write", [claude_log, database])
def test_a_killed_import_is_resumed_with_results_below_their_calls(
    start: Callable[..., Process],
    run: Callable[..., Result],
    path: Path,
    tmp_path: Path,
    write: Callable[[Path], Path],
) -> None:
    file = write(tmp_path)
    for kill in range(1, 4):
        importing = start("import", str(file))
        with ChatStore(path) as store, store.history(SESSION).subscribe(timeout=DEADLINE) as changes:
            for change in changes:
                if getattr(change, "block", None) and change.block.index >= kill * TURNS // 8:  # type: ignore[union-attr]
                    break
            importing.send(signal.SIGKILL)
            assert importing.wait() == -signal.SIGKILL
            assert store.history(SESSION).count() < 3 * TURNS
    assert run("import", file).exit_code == 0
    with ChatStore(path) as store:
        blocks = store.history(SESSION).get_messages(kind="trace")
    told = [block.text if block.type != "function_call" else str(block.data["arguments"]["n"]) for block in blocks]
    assert told == [text for number in range(TURNS) for text in (f"q{number}", f"{number}", f"r{number}")]
    assert [block.parent_id for block in blocks[2::3]] == [block.id for block in blocks[1::3]]
