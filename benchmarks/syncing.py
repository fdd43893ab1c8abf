"""Appends that are synced to the disk before they return: alone, and 100 at a time."""

from __future__ import annotations

from functools import partial

from benchmarks.measuring import Benchmark, Contender, Goal
from benchmarks.peers import redis, sqlite
from benchmarks.stores import DEFAULT, NOTE_DEFAULT, async_histories, histories
from benchmarks.workloads import TASKS, from_tasks, one_at_a_time

_alone = partial(one_at_a_time, full=2_000, quick=300)
_together = partial(from_tasks, contexts=1, full=50, quick=6)

SYNCED = Benchmark(
    "synced-append",
    "append of a message, on the disk when it returns: one at a time and from 100 tasks, on one context",
    (
        Contender("chatstore", _alone(partial(histories, DEFAULT)), NOTE_DEFAULT),
        Contender(
            "plain sqlite3, synced", _alone(partial(sqlite.statements, "FULL")), f"synchronous=FULL; {sqlite.NOTE}"
        ),
        Contender(f"chatstore, {TASKS} tasks", _together(partial(async_histories, DEFAULT)), NOTE_DEFAULT),
        Contender("redis-py XADD, always", _alone(partial(redis.streams, "always")), redis.NOTE_ALWAYS),
        Contender(
            f"redis.asyncio, always, {TASKS} tasks",
            _together(partial(redis.async_streams, "always")),
            redis.NOTE_ALWAYS,
        ),
    ),
    (
        Goal(
            "synced append, one at a time: rate, as a multiple of plain sqlite3 with synchronous=FULL",
            to="plain sqlite3, synced",
            at_least=0.85,
        ),
        Goal(
            f"synced append, {TASKS} tasks: rate, as a multiple of plain sqlite3 with synchronous=FULL, one at a time",
            of=f"chatstore, {TASKS} tasks",
            to="plain sqlite3, synced",
            at_least=4.0,
        ),
    ),
)

BENCHMARKS = (SYNCED,)
