"""Who sleeps while blocks grow costs little, and is given each block in a few changes."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from data_support import report

from chatstore import ChatStore
from growing.processes import Process

pytestmark = pytest.mark.slow

PIECE = "word "
MOST_CHANGES = 8
MOST_BYTES = 20 * 1024 * 1024


def grow(store: ChatStore, blocks: int, rounds: int) -> ExitStack:
    """Blocks that grew in turn, a piece of each in every commit; they are open until the stack is closed."""
    stack = ExitStack()
    writers = [stack.enter_context(store.history("late").open_message()) for _ in range(blocks)]
    for _ in range(rounds):
        for writer in writers:
            writer.write(PIECE)
        for writer in writers:
            writer.flush()
    return stack


@pytest.mark.parametrize(
    ("blocks", "rounds"),
    [
        (50, 1_000),
        (2, 800),
        pytest.param(2, 25_000, marks=[pytest.mark.slow, pytest.mark.timed, pytest.mark.timeout(400)]),
    ],
)
def test_a_subscriber_that_sleeps_through_thousands_of_pieces_costs_little_and_gets_them_joined(
    path: Path, blocks: int, rounds: int
) -> None:
    characters = blocks * rounds * len(PIECE)
    with ChatStore(path) as store:
        store.history("late").append_user_message("the first change")
        with Process("sleeper", path=path, context="late", characters=characters, seconds=350) as sleeper:
            assert sleeper.answer() == "asleep"
            begun = time.monotonic()
            with grow(store, blocks, rounds):
                seconds = time.monotonic() - begun
                sleeper.tell()
                woken = sleeper.answer()
                sleeper.succeed()
        pieces = store._read(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM changes WHERE type = 0").scalar())
    report(
        f"{pieces:,} pieces of {blocks} blocks in {seconds:.1f} s: {woken['asleep'] / 2**20:.1f} MiB more asleep,"
        f" {woken['peak'] / 2**20:.1f} MiB at the peak; at most {max(woken['pieces'])} changes a block"
    )
    assert pieces is not None and pieces >= 0.9 * blocks * rounds, "too many pieces were gathered"
    assert len(woken["pieces"]) == blocks
    assert max(woken["pieces"]) <= MOST_CHANGES
    assert max(woken["asleep"], woken["peak"]) < MOST_BYTES
