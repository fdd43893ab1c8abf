"""Appends from 100 tasks of one event loop, each awaiting its own before the next."""

from __future__ import annotations

from functools import partial

from benchmarks.measuring import Benchmark, Contender, Goal
from benchmarks.peers import nats, redis
from benchmarks.stores import DEFAULT, NOTE_DEFAULT, NOTE_UNSYNCED, UNSYNCED, async_histories
from benchmarks.workloads import TASKS, from_tasks


def _benchmark(name: str, where: str, contexts: int, at_least: float) -> Benchmark:
    work = partial(from_tasks, contexts=contexts, full=100, quick=10)
    return Benchmark(
        name,
        f"appends from {TASKS} tasks, each awaiting its own, on {where}",
        (
            Contender("chatstore, token", work(partial(async_histories, UNSYNCED)), NOTE_UNSYNCED),
            Contender("redis.asyncio XADD, everysec", work(redis.async_streams), redis.NOTE),
            Contender("chatstore", work(partial(async_histories, DEFAULT)), NOTE_DEFAULT),
            Contender("NATS JetStream", work(nats.subjects), nats.NOTE),
        ),
        (
            Goal(
                f"{TASKS} tasks on {where}, not synced: rate, as a multiple of redis.asyncio XADD with everysec",
                of="chatstore, token",
                to="redis.asyncio XADD, everysec",
                at_least=at_least,
            ),
        ),
        units={"seconds": ("µs an append", 1e6)},
        shown=("mean",),
    )


BENCHMARKS = (
    _benchmark("tasks-one-context", "one context", 1, 2.5),
    _benchmark("tasks-many-contexts", f"{TASKS} contexts", TASKS, 2.0),
)
