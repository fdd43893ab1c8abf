"""Reading the end of a short history and of a long one: `python -m benchmarks.reads [--long 200000]`.

Both are read in turn, so that whatever else the machine does meets both; the first rounds are thrown away.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from chatstore import BlockDraft, ChatStore, History

SHORT, LAST = 1_000, 50
WARM_UP, READS = 2, 20
"""Rounds that are not counted, and reads in a round."""
BATCH = 5_000


def fill(history: History, blocks: int) -> None:
    """A conversation of which one block in ten is in the transcript, as when an agent works between two answers."""
    drafts = _drafts(blocks)
    while batch := [draft for _, draft in zip(range(BATCH), drafts, strict=False)]:
        history.append(batch)


def _drafts(blocks: int) -> Iterator[BlockDraft]:
    for number in range(blocks):
        if number % 10 == 0:
            yield BlockDraft(role=("user", "assistant")[number // 10 % 2], text=f"message {number} " * 10)
        else:
            yield BlockDraft(type=("status", "reasoning", "note")[number % 3], author="agent", text=f"{number} " * 20)


def seconds(history: History) -> float:
    """The time of one read of the last transcript blocks, as the mean of a round."""
    begun = time.perf_counter()
    for _ in range(READS):
        assert len(history.get_messages(kind="transcript", last=LAST)) == LAST
    return (time.perf_counter() - begun) / READS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", type=int, default=200_000, help="blocks of the long history")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ChatStore(Path(directory) / "chat.db") as store:
        histories = {blocks: store.history(f"{blocks} blocks") for blocks in (SHORT, given.long)}
        for blocks, history in histories.items():
            fill(history, blocks)
        rounds = [[seconds(history) for history in histories.values()] for _ in range(WARM_UP + given.rounds)]
    _report(given.long, rounds[WARM_UP:])


def _report(long: int, rounds: list[list[float]]) -> None:
    for blocks, times in zip((SHORT, long), zip(*rounds, strict=True), strict=True):
        low, median, high = min(times), statistics.median(times), max(times)
        print(  # noqa: T201
            f"last {LAST} transcript blocks of {blocks:>9,}: median {median * 1e6:7.0f} µs"
            f"  (from {low * 1e6:.0f} to {high * 1e6:.0f} µs in {len(times)} rounds of {READS})"
        )
    ratios = sorted(long / short for short, long in rounds)
    middle = statistics.median(ratios)
    print(f"ratio: median {middle:.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")  # noqa: T201


if __name__ == "__main__":
    main()
