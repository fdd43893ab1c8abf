"""The example runs, offline, and prints what it stored. The page that tells of the handler is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripted_chat import adder

from chatstore import ChatStore

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recorders-langchain.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_it_prints_what_it_stored(path: Path) -> None:
    example = ROOT / "examples" / "record_langchain.py"
    done = subprocess.run([sys.executable, example, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[3].endswith("'Shall I book a train to Paris?'")
    assert lines[-3].endswith("'Your train is booked.' answer/final")
    seen = ["I want to go to Paris", "I look for a train. ", "yes", "Your train is booked."]
    assert lines[-2:] == [f"the person sees: {seen}", "the runs are ['completed', 'completed']"]


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page", "agent": adder(*[["It is ", "5."] for _ in range(9)])}
    blocks = [block[1] for block in BLOCKS.finditer(PAGE)]
    for code in blocks:
        exec(compile(code, "recorders-langchain.md", "exec"), names)
    assert len(blocks) >= 3
    with ChatStore(tmp_path / "chat.db") as store:
        assert {run.state for run in store.history("support-42").runs()} == {"completed"}
