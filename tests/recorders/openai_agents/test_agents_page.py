"""The page about the Agents SDK is true: its Python runs. So does the example, which prints what it stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from scripted_agents import agent, call, growing, message, shapes
from test_readme import python_of

from chatstore import AsyncChatStore

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recorders-openai-agents.md").read_text(encoding="utf-8")


async def test_every_python_block_of_the_page_runs(async_store: AsyncChatStore) -> None:
    names: dict[str, Any] = {
        "agent": agent("a", [message("Hello")], [call("ask_helper", '{"input": "Who?"}')], [message("She.")]),
        "helper": agent("helper", [message("She knows")]),
    }
    blocks = python_of(PAGE)
    for line, code in blocks:
        exec(compile("\n" * (line - 1) + code, "recorders-openai-agents.md", "exec"), names)
    assert len(blocks) == 3
    assert await names["answer"](async_store, "Hi") == "Hello"
    assert await names["answer_with_help"](async_store, "Who?") == "She."
    history = async_store.history("support-42")
    assert [block.text for block in await history.get_messages(kind="transcript")] == ["Hi", "Hello", "Who?", "She."]
    assert [block.text for block in await history.get_messages(authors=["helper"])] == ["She knows"]
    assert [one.state for one in await history.runs()] == ["completed", "completed"]
    session = names["ChatStoreSession"](history)
    result = names["Runner"].run_streamed(agent("b", [growing("One two", "One ", "two")]), "Count", session=session)
    recording = names["record"](result, session)
    async for event in recording:
        if getattr(getattr(event, "data", None), "delta", "") == "One ":
            result.cancel()
    await names["remember_what_was_said"](session, recording.run_id)
    assert (await session.get_items())[-1] == {"role": "assistant", "content": "One "}
    assert shapes(await history.get_messages())[-1] == ("message", "cancelled", "b", "One ")


def test_the_example_prints_what_it_stored(path: Path) -> None:
    example = ROOT / "examples" / "record_openai_agents.py"
    done = subprocess.run([sys.executable, example, path], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "It has 18 °C in Paris."
    assert any("weather-agent  cancelled" in line and "Blue is the sky" in line for line in lines)
    assert lines[-1] == "the runs are ['completed', 'cancelled', 'completed']"
    assert lines[-2].startswith("the agent remembers ")
