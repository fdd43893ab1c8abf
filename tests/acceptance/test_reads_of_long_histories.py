"""What a read costs follows from what it returns, and not from how long the history is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from figures import report
from sqlalchemy import event

from chatstore import Block, BlockDraft, ChatStore, History

SHORT, LAST = 1_000, 50
Read = Callable[[History], list[Block]]
READS: dict[str, Read] = {
    "transcript": lambda history: history.get_messages(kind="transcript", last=LAST),
    "trace": lambda history: history.get_messages(last=LAST),
    "a role": lambda history: history.get_messages(roles=["user"], last=LAST),
    "two types": lambda history: history.get_messages(types=["status", "reasoning"], last=LAST),
    "an author": lambda history: history.get_messages(authors=["agent"], last=LAST),
    "since the user": lambda history: history.since_last_user_message(),
}


def fill(history: History, blocks: int) -> None:
    """A conversation of which one block in ten is in the transcript."""
    for first in range(0, blocks, SHORT):
        history.append([draft(number) for number in range(first, first + SHORT)])


def draft(number: int) -> BlockDraft:
    if number % 10 == 0:
        return BlockDraft(role=("user", "assistant")[number // 10 % 2], text=f"message {number}")
    return BlockDraft(type=("status", "reasoning", "note")[number % 3], author="agent", text=f"{number}")


class Steps:
    """Counts the instructions of SQLite's virtual machine in all reads of a store."""

    def __init__(self, store: ChatStore) -> None:
        self.count = 0
        event.listen(store._open().database.readers, "checkout", self._listen)

    def of(self, read: Read, history: History) -> tuple[int, int]:
        """The steps of one read, its statements already prepared, and how many blocks it returned."""
        read(history)
        self.count = 0
        return len(read(history)), self.count

    def _listen(self, connection: Any, _record: object, _proxy: object) -> None:
        connection.set_progress_handler(self._step, 1)

    def _step(self) -> None:
        self.count += 1


@pytest.mark.parametrize(
    "long",
    [
        10_000,
        pytest.param(50_000, marks=pytest.mark.slow),
        pytest.param(200_000, marks=[pytest.mark.slow, pytest.mark.soak]),
    ],
)
def test_reading_the_end_takes_as_many_steps_in_a_long_history_as_in_a_short_one(tmp_path: Path, long: int) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        short_history, long_history = store.history("short"), store.history("long")
        fill(short_history, SHORT)
        fill(long_history, long)
        steps = Steps(store)
        for name, read in READS.items():
            (blocks, few), (same, many) = steps.of(read, short_history), steps.of(read, long_history)
            report(f"steps for {name}", blocks=blocks, of_1_000=few, **{f"of_{long:_}": many})
            assert blocks == same
            assert many <= few * 1.1 + 50
