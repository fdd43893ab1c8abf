"""Text that the disk refused, and calls that are repeated: all of it is stored once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from held import locked, until

from chatstore import AsyncChatStore, BlockWriter, ChatStore, StoreBusy
from chatstore.writing import growing

DEADLINE = 20.0
ALWAYS, NEVER = -1.0, 1e9
"""Seconds behind which a write waits for the disk: as a slow writer's do, and as a quick one's."""


@pytest.fixture(params=[ALWAYS, NEVER], ids=["slow", "quick"])
def paused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a pause makes the next write wait for the disk."""
    monkeypatch.setattr(growing, "PAUSED", request.param)
    return float(request.param)


def write_until_refused(writer: BlockWriter) -> str:
    """Writes until that raises, and gives what was taken."""
    taken, deadline = "", time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            writer.write("x")
        except StoreBusy as refused:
            assert refused.retryable
            return taken
        taken += "x"
    raise AssertionError("nothing was refused")


@pytest.mark.usefixtures("paused")
def test_a_write_that_raised_has_not_taken_its_text_and_is_repeated(path: Path) -> None:
    with ChatStore(path, busy_timeout=0.05) as store:
        writer = store.history("c").open_message()
        writer.write("first ")
        writer.flush()
        with locked(path):
            taken = write_until_refused(writer)
            writer.write(" again")
            again = write_until_refused(writer)
        writer.write(" and on")
        assert writer.close().text == f"first {taken} again{again} and on"


@pytest.mark.usefixtures("paused")
async def test_so_is_one_that_is_awaited(path: Path) -> None:
    async with AsyncChatStore(path, busy_timeout=0.05) as store:
        writer = await store.history("c").open_message()
        text, refused, deadline = "", 0, time.monotonic() + DEADLINE
        with locked(path):
            while refused < 2 and time.monotonic() < deadline:
                try:
                    await writer.write(f"{len(text)} ")
                except StoreBusy:
                    refused += 1
                else:
                    text += f"{len(text)} "
        assert refused == 2
        assert (await writer.close()).text == text


def test_a_flush_that_raised_keeps_what_was_written_and_is_repeated(path: Path) -> None:
    with ChatStore(path, busy_timeout=0.05) as store:
        history = store.history("c")
        writer = history.open_message()
        with locked(path):
            writer.write("text")
            for _ in range(2):
                with pytest.raises(StoreBusy):
                    writer.flush()
        writer.flush()
        assert history.get_messages()[0].text == "text"
        assert writer.close().text == "text"


def test_text_from_an_iterator_that_was_refused_ends_as_failed_and_is_there_once(path: Path) -> None:
    with ChatStore(path, busy_timeout=0.05) as store:
        history = store.history("c")
        lock, given, deadline = locked(path), list[str](), time.monotonic() + DEADLINE

        def tokens() -> Iterator[str]:
            lock.__enter__()
            while time.monotonic() < deadline:
                given.append(f"{len(given)} ")
                yield given[-1]

        with pytest.raises(StoreBusy):
            history.append_assistant_message(tokens())
        lock.__exit__(None, None, None)
        until(lambda: history.get_messages()[0].state == "failed")
        assert history.get_messages()[0].text == "".join(given[:-1])
