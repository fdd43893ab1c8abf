"""What a subscriber that sleeps costs the writer: `python -m benchmarks.growing [--pieces 5000]`.

Rounds with and without a sleeping subscriber take turns, in a process of its own and in the writer's, so that
whatever else the machine does meets all of them; the first rounds are thrown away.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatstore import ChatStore

BLOCKS, PIECE = 50, "word "
WARM_UP = 1
_SLEEPER = """
import sys
from chatstore import ChatStore
with ChatStore(sys.argv[1]) as store, store.history("growing").subscribe() as changes:
    next(changes)
    print("asleep", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def nobody(store: ChatStore) -> Iterator[None]:
    """No subscriber at all."""
    yield


@contextmanager
def a_thread(store: ChatStore) -> Iterator[None]:
    """A subscriber of this process that took one change and no more."""
    with store.history("growing").subscribe() as changes:
        next(changes)
        yield


@contextmanager
def a_process(store: ChatStore) -> Iterator[None]:
    """The same in another process."""
    command = [sys.executable, "-c", _SLEEPER, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        yield
        process.communicate("\n")


def seconds(store: ChatStore, pieces: int) -> float:
    """The time in which blocks grow in turn by so many pieces, each commit flushed."""
    history = store.history("growing")
    writers = [history.open_message() for _ in range(BLOCKS)]
    begun = time.perf_counter()
    for _ in range(pieces // BLOCKS):
        for writer in writers:
            writer.write(PIECE)
        for writer in writers:
            writer.flush()
    taken = time.perf_counter() - begun
    for writer in writers:
        writer.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=5_000, help="pieces in a round")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    asleep = (nobody, a_thread, a_process)
    rounds = [[_round(given.pieces, who) for who in asleep] for _ in range(WARM_UP + given.rounds)][WARM_UP:]
    for place, who in enumerate(asleep):
        times = [one[place] for one in rounds]
        ratio = statistics.median(times) / statistics.median(one[0] for one in rounds)
        print(  # noqa: T201
            f"{who.__name__.replace('_', ' '):>10} asleep: median {statistics.median(times) * 1000:.0f} ms"
            f" for {given.pieces:,} pieces (from {min(times) * 1000:.0f} to {max(times) * 1000:.0f}),"
            f" {ratio:.2f} of the time without"
        )


def _round(pieces: int, who: object) -> float:
    with tempfile.TemporaryDirectory() as directory, ChatStore(Path(directory) / "chat.db") as store:
        store.history("growing").append_user_message("the first change")
        with who(store):  # type: ignore[operator]
            return seconds(store, pieces)


if __name__ == "__main__":
    main()
