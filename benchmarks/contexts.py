"""A store with a hundred contexts and one with a thousand times as many: listing, opening and appending."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import material
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale, Statistic
from benchmarks.stores import UNSYNCED, directory
from chatstore import AsyncChatStore, ChatStore

FEW, MANY, MANY_IN_QUICK = 100, 100_000, 10_000
PAGE, AT_ONCE = 50, 1_000
"""Contexts in a page of a listing, and contexts made at the same time."""
OPENINGS, LISTINGS, APPENDS = 10, 20, 400
"""In a round. The appends go to contexts all over the store."""


@contextmanager
def _store_with(contexts: Callable[[Scale], int], scale: Scale) -> Iterator[Callable[[], Round]]:
    with directory() as path:
        count = contexts(scale)
        ids = asyncio.run(_filled(path / "chat.db", count))
        yield partial(_round, path / "chat.db", ids)


def _keys(number: int) -> dict[str, str]:
    """One of the few contexts of a person, all of which came by the same channel."""
    return {"channel": "web", "user": f"user-{number // 4}", "topic": f"topic-{number}"}


async def _filled(path: Path, count: int) -> list[str]:
    texts = itertools.cycle(material.texts())
    async with AsyncChatStore(path, durability=UNSYNCED) as store:
        histories = [store.history(_keys(number)) for number in range(count)]
        for begin in range(0, count, AT_ONCE):
            batch = histories[begin : begin + AT_ONCE]
            await asyncio.gather(*(history.append_user_message(next(texts)) for history in batch))
    return [history.context_id for history in histories]


def _round(path: Path, ids: list[str]) -> Round:
    middle, apart = len(ids) // 2, max(len(ids) // APPENDS, 1)
    opening = [_open(path, ids[middle]) for _ in range(OPENINGS)]
    rare = {"user": _keys(middle)["user"]}
    both = {"channel": _keys(middle)["channel"], **rare}
    texts = itertools.cycle(material.texts())
    scattered = itertools.islice(itertools.cycle(ids[::apart]), APPENDS)
    with ChatStore(path, durability=UNSYNCED) as store:
        return {
            "listing": [_seconds(lambda: store.contexts(after=ids[middle - 1], limit=PAGE)) for _ in range(LISTINGS)],
            "by one key": [_seconds(lambda: store.contexts(keys=rare)) for _ in range(LISTINGS)],
            "by two keys": [_seconds(lambda: store.contexts(keys=both)) for _ in range(LISTINGS)],
            "opening": opening,
            "appending": [
                _seconds(partial(store.history(one).append_assistant_message, text))
                for one, text in zip(scattered, texts, strict=False)
            ],
        }


def _open(path: Path, context_id: str) -> float:
    """Seconds until the first read of a store that nobody had open."""
    begun = time.perf_counter()
    with ChatStore(path, durability=UNSYNCED) as store:
        store.history(context_id).get_messages(last=1)
        return time.perf_counter() - begun


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _goal(says: str, metric: str, statistic: Statistic = "p50") -> Goal:
    says = f"{says}: 100,000 contexts (--quick: {MANY_IN_QUICK:,}), × 100"
    return Goal(says, "few contexts", "many contexts", metric, statistic, at_most=1.3)


BENCHMARKS = (
    Benchmark(
        "contexts",
        "a store with few contexts and one with many",
        (
            Contender("few contexts", partial(_store_with, lambda scale: FEW), f"{FEW}"),
            Contender(
                "many contexts",
                partial(_store_with, lambda scale: scale.of(MANY, MANY_IN_QUICK)),
                f"{MANY:,}; with --quick {MANY_IN_QUICK:,}",
            ),
        ),
        (
            _goal(f"a page of {PAGE} contexts", "listing"),
            _goal("the contexts of a key that four have", "by one key"),
            _goal("the contexts of that key and one that all have", "by two keys"),
            _goal("opening, until the first read", "opening"),
            _goal("an append, in one of all contexts: p50", "appending"),
            _goal("the same on average, with what moves pages to their places in the file", "appending", "mean"),
        ),
        dict.fromkeys(("listing", "by one key", "by two keys", "opening", "appending"), ("µs", 1e6)),
    ),
)
