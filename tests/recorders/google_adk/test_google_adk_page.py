"""The page about the recorder is true, and the example runs, offline, and prints what it stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from google.adk.runners import InMemoryRunner
from recorded import texts
from scripted_adk import agent, streamed
from test_readme import python_of

from chatstore import AsyncChatStore

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recorders-google-adk.md").read_text(encoding="utf-8")


async def test_the_python_of_the_page_runs(async_store: AsyncChatStore) -> None:
    names: dict[str, Any] = {"agent": agent(streamed("It ", "is"), streamed("It ", "was"))}
    blocks = python_of(PAGE)
    for line, code in blocks:
        exec(compile("\n" * (line - 1) + code, "recorders-google-adk.md", "exec", dont_inherit=True), names)
    assert len(blocks) == 2
    await names["answer"](async_store, "What?")
    runner = InMemoryRunner(agent=names["agent"], app_name="support")
    await runner.session_service.create_session(app_name="support", user_id="u1", session_id="s1")
    await names["around"](async_store, runner, "And?")
    first = async_store.history({"app_name": "support", "user_id": "u1", "session_id": "s1"})
    for history, said in ((first, ["What?", "It is"]), (async_store.history("support-42"), ["And?", "It was"])):
        assert texts(await history.get_messages(kind="transcript"), "message") == said
        assert [run.state for run in await history.runs()] == ["completed"]


def test_the_example_prints_what_it_stored(path: Path) -> None:
    example = ROOT / "examples" / "record_google_adk.py"
    done = subprocess.run([sys.executable, example, path], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sum("answer/final" in line for line in lines) == 2
    assert lines[-2:] == [
        "the person sees: ['Add 2 and 3', 'The answer is 5', 'Again', 'The answer is 5']",
        "the runs are ['completed', 'completed']",
    ]
