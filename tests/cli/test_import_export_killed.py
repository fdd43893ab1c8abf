"""An import that is killed while it writes goes on where it was: nothing doubled, nothing missing."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from command_process import DEADLINE, Process
from data_support import canonical, report
from typer.testing import Result

from chatstore import ChatStore

pytestmark = pytest.mark.slow

CONVERSATIONS = 600
KILLS = 5


def test_a_killed_import_is_resumed(
    start: Callable[..., Process], run: Callable[..., Result], path: Path, tmp_path: Path
) -> None:
    records = [_record(number) for number in range(CONVERSATIONS)]
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    counts = [_killed(start, path, file, at=(kill + 1) * CONVERSATIONS // (4 * KILLS)) for kill in range(KILLS)]
    assert all(0 < count < CONVERSATIONS for count in counts)
    assert counts == sorted(counts)
    assert run("import", file).exit_code == 0
    exported = [json.loads(line) for line in run("export").stdout.splitlines()]
    assert canonical(exported) == canonical(records)
    with ChatStore(path) as store:
        assert {context.context_id: context.count for context in store.contexts()} == {
            record["id"]: len(record["messages"]) for record in records
        }
    report(f"killed after {counts} of {CONVERSATIONS} conversations")


def _killed(start: Callable[..., Process], path: Path, file: Path, *, at: int) -> int:
    """Kills an import as soon as a conversation is seen in the store; how many are stored then."""
    importing = start("import", str(file))
    with ChatStore(path) as store:
        next(iter(store.history(f"c{at}").subscribe(timeout=DEADLINE)))
        importing.send(signal.SIGKILL)
        assert importing.wait() == -signal.SIGKILL
        return len(store.contexts())


def _record(number: int) -> dict[str, object]:
    words = random.Random(number)
    messages = [
        {"role": words.choice(["user", "assistant"]), "content": f"{words.random()}"}
        for _ in range(words.randint(1, 40))
    ]
    return {"id": f"c{number}", "messages": messages}
