"""What is submitted to a store for threads, and would never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatstore import ChatStore, History, InvalidInput


def steps(history: History, prompt: str) -> Iterator[str]:
    yield prompt


async def awaited(history: History, prompt: str) -> None:
    """Nobody would await it."""


@pytest.mark.parametrize("agent", [steps, awaited, "agent", None])
def test_it_is_refused_and_nothing_is_stored(tmp_path: Path, agent: Any) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        with pytest.raises(InvalidInput, match="the agent is"):
            store.submit(agent, "x", context="c")
        assert store.contexts() == []


def test_an_agent_that_returns_a_generator_fails(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        handle = store.submit(lambda history, prompt: steps(history, prompt), "x")
        run = handle.wait(30)
        assert run is not None and run.error is not None
        assert (run.state, run.error.type) == ("failed", "InvalidInput")
        with pytest.raises(InvalidInput, match="returned a generator"):
            handle.result(30)
