"""The page about the recorder is true, and the example runs, offline, and prints what it stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from recorded import texts
from scripted_agents import model
from test_readme import python_of

from chatstore import AsyncChatStore

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recorders-pydantic-ai.md").read_text(encoding="utf-8")


async def test_the_python_of_the_page_runs(async_store: AsyncChatStore) -> None:
    names: dict[str, Any] = {"model": model(*(["It is ", f"{number}"] for number in range(4)))}
    blocks = python_of(PAGE)
    for line, code in blocks:
        exec(compile("\n" * (line - 1) + code, "recorders-pydantic-ai.md", "exec", dont_inherit=True), names)
    assert len(blocks) == 2
    assert await names["answer"](async_store, "What?") == "It is 0"
    assert await names["answer"](async_store, "And?") == "It is 1"
    assert await names["by_handler"](async_store, "What?") == "It is 2"
    await names["around_the_events"](async_store, "What?")
    for name, said in (
        ("support-42", ["What?", "It is 0", "And?", "It is 1"]),
        ("by-handler", ["What?", "It is 2"]),
        ("by-events", ["What?", "It is 3"]),
    ):
        history = async_store.history(name)
        assert texts(await history.get_messages(kind="transcript"), "message") == said
        assert {run.state for run in await history.runs()} == {"completed"}


def test_the_example_prints_what_it_stored(path: Path) -> None:
    example = ROOT / "examples" / "record_pydantic_ai.py"
    done = subprocess.run([sys.executable, "-W", "error", example, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Add 2 and 3 - it remembers 0 messages", "Again - it remembers 4 messages"]
    assert sum("answer/final" in line for line in lines) == 2
    assert lines[-2:] == [
        "the person sees: ['Add 2 and 3', 'The answer is 5.', 'Again', 'The answer is 5.']",
        "the runs are ['completed', 'completed']",
    ]
