"""Reads of a history of 1,000 blocks and of one a thousand times as long: whether a long conversation is slower."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import material
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale
from benchmarks.stores import UNSYNCED, directory
from chatstore import Block, BlockDraft, ChatStore, History

SHORT, LONG, LONG_IN_QUICK = 1_000, 1_000_000, 50_000
LAST, BEHIND, FAR_BEHIND = 50, 20, 500
"""Messages of a transcript; blocks that came since a client's last cursor; and since one that was away for long."""
TURN, BATCH, READS = 20, 5_000, 60
"""Blocks from one user message to the next, blocks written at once, and reads in a round."""


@contextmanager
def _read(blocks: Callable[[Scale], int], scale: Scale) -> Iterator[Callable[[], Round]]:
    with directory() as path, ChatStore(path / "chat.db", durability=UNSYNCED) as store:
        history = store.history("one")
        yield partial(_round, history, filled(history, blocks(scale)))


def filled(history: History, blocks: int) -> list[Block]:
    """Appends so many; the newest of them."""
    drafts = _conversation(blocks)
    while batch := list(itertools.islice(drafts, BATCH)):
        newest = history.append(batch)
    return newest


def _conversation(blocks: int) -> Iterator[BlockDraft]:
    """Turns of an agent that works a lot between question and answer."""
    texts = itertools.cycle(text[:200] for text in material.texts())
    for number, text in zip(range(blocks), texts, strict=False):
        place = number % TURN
        if place in (0, TURN - 1):
            yield BlockDraft(role="assistant" if place else "user", text=text)
        elif place % 3 == 1:
            data = {"name": "search", "arguments": {"query": "weather"}, "call_id": f"call_{number}"}
            yield BlockDraft(type="function_call", role="assistant", text='{"query": "weather"}', data=data)
        elif place % 3 == 2:
            answered = {"name": "search", "call_id": f"call_{number - 1}", "is_error": False}
            yield BlockDraft(type="function_result", role="tool", text=text, data=answered)
        else:
            yield BlockDraft(type="status", author="agent", text=text)


def _round(history: History, newest: list[Block]) -> Round:
    calls = sum(block.type == "function_call" for block in newest[-TURN:])
    behind, far_behind = newest[-BEHIND - 1].cursor, newest[-FAR_BEHIND - 1].cursor

    def since() -> None:
        assert len(history.since_last_user_message(types=["function_call"])) == calls

    def catch_up() -> None:
        assert sum(1 for _ in history.subscribe(after=behind, follow=False)) == BEHIND

    def first_page() -> None:
        with history.subscribe(after=far_behind) as changes:
            next(changes)

    reads = {"last 50": partial(_last, history), "calls": since, "catching up": catch_up, "first page": first_page}
    return {name: [_seconds(read) for _ in range(READS)] for name, read in reads.items()}


def round_of_last(history: History) -> Round:
    """The last messages of the transcript alone."""
    return {"last 50": [_seconds(partial(_last, history)) for _ in range(READS)]}


def _last(history: History) -> None:
    assert len(history.get_messages(kind="transcript", last=LAST)) == LAST


def _seconds(read: Callable[[], None]) -> float:
    begun = time.perf_counter()
    read()
    return time.perf_counter() - begun


def _goal(says: str, metric: str) -> Goal:
    says = f"{says}: 1,000,000 blocks (--quick: {LONG_IN_QUICK:,}), × 1,000"
    return Goal(says, "a short history", "a long history", metric, "p50", at_most=1.3)


BENCHMARKS = (
    Benchmark(
        "reading",
        f"reads of a short history and of a long one, one block in {TURN // 2} in the transcript",
        (
            Contender("a short history", partial(_read, lambda scale: SHORT), f"{SHORT:,} blocks"),
            Contender(
                "a long history",
                partial(_read, lambda scale: scale.of(LONG, LONG_IN_QUICK)),
                f"{LONG:,} blocks; with --quick {LONG_IN_QUICK:,}",
            ),
        ),
        (
            _goal(f"last {LAST} of the transcript", "last 50"),
            _goal("function calls since the last user message", "calls"),
            _goal(f"catching up, {BEHIND} changes behind", "catching up"),
            Goal(
                f"first page of a catch-up, {FAR_BEHIND} changes behind, in s",
                of="a long history",
                metric="first page",
                statistic="p50",
                at_most=0.001,
            ),
        ),
        dict.fromkeys(("last 50", "calls", "catching up", "first page"), ("µs", 1e6)),
        ("p50", "p99"),
    ),
)
