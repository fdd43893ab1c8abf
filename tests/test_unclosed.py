"""A store that is dropped without being closed is told of, as files and sockets are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BY_THREADS = """
from chatstore import ChatStore

store = ChatStore("chat.db")
"""
ON_A_LOOP = """
import asyncio
from chatstore import AsyncChatStore

async def main():
    store = AsyncChatStore("chat.db")
    assert await store.history("a").count() == 0
    return store

store = asyncio.run(main())
"""
DROPPED = "import gc\ndel store\ngc.collect()\nprint('dropped')"


def run(script: str, directory: Path) -> str:
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", script]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=True).stderr


@pytest.mark.parametrize(
    ("opened", "name", "way"), [(BY_THREADS, "ChatStore", "with"), (ON_A_LOOP, "AsyncChatStore", "async with")]
)
def test_a_store_that_is_dropped_while_it_is_open_is_told_of(opened: str, name: str, way: str, tmp_path: Path) -> None:
    said = run(opened + DROPPED, tmp_path)
    shown = f"{name}({str(tmp_path / 'chat.db')!r})"
    assert f"ResourceWarning: {shown} was dropped while it was open; use `{way}`, or close it" in said


@pytest.mark.parametrize(
    "script",
    [
        BY_THREADS + "store.close()\n" + DROPPED,
        "from chatstore import ChatStore, NotAStore\n"
        "try:\n    ChatStore('.')\nexcept NotAStore:\n    pass\nelse:\n    raise AssertionError",
        "from chatstore import AsyncChatStore\nAsyncChatStore('chat.db')",
    ],
    ids=["closed", "refused", "never used"],
)
def test_one_that_was_closed_or_never_open_is_not(script: str, tmp_path: Path) -> None:
    assert "was dropped" not in run(script, tmp_path)
