"""The page about recorders is true: its Python runs, against servers that are scripted; so do the examples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import frames
import httpx2
import openai
import pytest
from provider_server import body
from test_readme import python_of

from chatstore import ChatStore
from chatstore.recorders import RecordOptions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recorders.md").read_text(encoding="utf-8")
STREAMS = {"completions": [*frames.CHAT, frames.DONE], "responses": frames.RESPONSES, "messages": frames.MESSAGE}


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    def answer(request: httpx2.Request) -> httpx2.Response:
        stream = STREAMS[request.url.path.rpartition("/")[2]]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body(stream))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        yield client


def test_every_python_block_of_the_page_runs(
    http: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "__name__": "example",
        "client": openai.OpenAI(api_key="none", http_client=http),
        "claude": anthropic.Anthropic(api_key="none", http_client=http),
    }
    blocks = python_of(PAGE)
    for line, code in blocks:
        exec(compile("\n" * (line - 1) + code, "recorders.md", "exec"), names)
    assert len(blocks) == 5
    with ChatStore("chat.db") as store:
        states = [run.state for run in store.history("support-42").runs()]
    assert states == ["completed", "completed", "completed", "cancelled"]


def test_every_option_is_on_the_page() -> None:
    assert all(f"- `{name}" in PAGE for name in RecordOptions.__annotations__)


@pytest.mark.parametrize(
    ("name", "types", "runs"),
    [
        ("openai", "message function_call function_result message message message", 3),
        ("anthropic", "message reasoning function_call function_result message", 2),
    ],
)
def test_the_examples_run(name: str, types: str, runs: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / f"record_{name}.py", tmp_path / "chat.db"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("It has 18 °C in Paris.\n")
    assert done.stdout.count("run completed") == runs
    with ChatStore(tmp_path / "chat.db") as store:
        blocks = store.history(name).get_messages(kind="trace")
    assert [block.type for block in blocks] == types.split()
    assert all(block.text and block.state == "closed" for block in blocks)
