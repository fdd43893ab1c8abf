"""Stores on PostgreSQL beside psycopg alone, on one server: `python -m benchmarks postgres`."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import material, waking
from benchmarks.children import Line, child
from benchmarks.idling import hold_subscriptions
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale
from benchmarks.peers import postgres
from benchmarks.reading import LONG, LONG_IN_QUICK, SHORT, filled, round_of_last
from benchmarks.stores import NOTE_DEFAULT
from benchmarks.workloads import TASKS, AsyncAppend, from_tasks
from chatstore import AsyncChatStore, ChatStore

if TYPE_CHECKING:
    import psycopg

PROCESSES, IDLE = 4, 1_000
SETTLING = 3.0
"""Seconds after which the reads that begin subscriptions are over and counted."""
PEER = "psycopg, pool of 10"


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Callable[[str], AsyncAppend]]:
    async with AsyncChatStore(url) as store:
        yield lambda context: store.history(context).append_user_message


@contextmanager
def _tasks(open_peer: Any, scale: Scale) -> Iterator[Callable[[], Round]]:
    work = partial(from_tasks, contexts=TASKS, full=60, quick=10)
    with postgres.server() as url, work(partial(open_peer, url))(scale) as one:
        yield one


@contextmanager
def _processes(kind: str, scale: Scale) -> Iterator[Callable[[], Round]]:
    """The same from so many processes with a share of the tasks and of the contexts each."""
    with postgres.server() as url, ExitStack() as stack:
        lines = [stack.enter_context(child(append_from_tasks, url, kind, str(number))) for number in range(PROCESSES)]
        for line in lines:
            line.receive()

        def one() -> Round:
            count = scale.of(60, 10)
            begun = time.perf_counter()
            for line in lines:
                line.send(count)
            for line in lines:
                line.receive()
            return {"seconds": [(time.perf_counter() - begun) / (count * TASKS)]}

        yield one


def append_from_tasks(line: Line, url: str, kind: str, share: str) -> None:
    """One of the processes."""
    asyncio.run(_append(line, url, {"ours": _ours, "pooled": postgres.pooled}[kind], share))


async def _append(line: Line, url: str, open_peer: Any, share: str) -> None:
    texts = itertools.cycle(material.texts())
    async with open_peer(url) as appender:
        appends = [appender(f"context-{share}-{number}") for number in range(TASKS // PROCESSES)]
        await asyncio.gather(*(append("the first") for append in appends))
        line.send("ready")

        async def one(append: AsyncAppend, count: int) -> None:
            for _ in range(count):
                await append(next(texts))

        while True:
            count = await asyncio.to_thread(line.receive)
            await asyncio.gather(*(one(append, count) for append in appends))
            line.send("done")


@contextmanager
def _waking(scale: Scale) -> Iterator[Callable[[], Round]]:
    with postgres.server() as url, ChatStore(url) as store, child(waking.follow_chatstore, url) as subscriber:
        append = store.history("live").append_assistant_message
        yield partial(waking.one_round, waking.STREAM, scale, append, subscriber)


@contextmanager
def _plain_waking(scale: Scale) -> Iterator[Callable[[], Round]]:
    import psycopg

    with postgres.server() as url, psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE live (id bigserial PRIMARY KEY, text text)")

        def write(text: str) -> None:
            with conn.transaction():
                conn.execute("INSERT INTO live (text) VALUES (%s)", [text])
                conn.execute("NOTIFY live")

        with child(follow_plainly, url) as subscriber:
            yield partial(waking.one_round, waking.STREAM, scale, write, subscriber)


def follow_plainly(line: Line, url: str) -> None:
    """LISTEN, and a select for each notice."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("LISTEN live")
        rows = _listened(conn)
        waking.answer(line, lambda: next(rows))


def _listened(conn: psycopg.Connection[Any]) -> Iterator[object]:
    last = 0
    while True:
        for row in conn.execute("SELECT id, text FROM live WHERE id > %s ORDER BY id", [last]).fetchall():
            last = row[0]
            yield row
        for _ in conn.notifies(timeout=1, stop_after=1):
            pass


@contextmanager
def _idle(scale: Scale) -> Iterator[Callable[[], Round]]:
    """What a process with idle subscribers asks of the server, which counts transactions and connections."""
    import psycopg

    from chatstore.databases.postgres.bus import LISTENS

    with postgres.server() as url:
        with ChatStore(url) as store:
            for number in range(IDLE // 10):
                store.history(f"context-{number}").append_user_message("the first change")
        with child(hold_subscriptions, str(IDLE), url) as line, psycopg.connect(url, autocommit=True) as conn:
            line.receive()
            time.sleep(SETTLING)

            def one() -> Round:
                listening = conn.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = %s",
                    [LISTENS],
                ).fetchone()
                before, begun = _asked(conn), time.monotonic()
                time.sleep(scale.of(10, 3))
                asked = _asked(conn) - before - 1
                assert listening is not None
                return {"queries": [asked / (time.monotonic() - begun)], "connections": [float(listening[0])]}

            yield one


def _asked(conn: psycopg.Connection[Any]) -> int:
    """Transactions of the database so far; without a BEGIN, each statement is one."""
    time.sleep(1.5)  # a server process tells what it did once a second
    conn.execute("SELECT pg_stat_clear_snapshot()")
    row = conn.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _reading(blocks: Callable[[Scale], int], scale: Scale) -> Iterator[Callable[[], Round]]:
    with postgres.server() as url, ChatStore(url, durability="token") as store:
        history = store.history("one")
        filled(history, blocks(scale))
        yield partial(round_of_last, history)


_TASKS_GOAL = "tasks on 100 contexts: rate, as a multiple of the same rows through psycopg, one commit each"
BENCHMARKS = (
    Benchmark(
        "postgres-tasks",
        f"PostgreSQL: appends from {TASKS} tasks of one process on {TASKS} contexts",
        (
            Contender("chatstore", partial(_tasks, _ours), NOTE_DEFAULT),
            Contender(PEER, partial(_tasks, postgres.pooled), postgres.NOTE),
        ),
        (Goal(f"PostgreSQL, {TASKS} {_TASKS_GOAL}", to=PEER, at_least=8.0),),
        {"seconds": ("µs an append", 1e6)},
        ("mean",),
    ),
    Benchmark(
        "postgres-processes",
        f"PostgreSQL: appends from {PROCESSES} processes with {TASKS // PROCESSES} tasks each",
        (
            Contender("chatstore", partial(_processes, "ours"), NOTE_DEFAULT),
            Contender(PEER, partial(_processes, "pooled"), f"{postgres.NOTE} in each process"),
        ),
        (Goal(f"PostgreSQL, {PROCESSES} processes, {TASKS} {_TASKS_GOAL}", to=PEER, at_least=4.0),),
        {"seconds": ("µs an append", 1e6)},
        ("mean",),
    ),
    Benchmark(
        "postgres-waking",
        "PostgreSQL: commit in one process to the change in a subscriber of another, one every 10 ms",
        (
            Contender("chatstore", _waking),
            Contender("LISTEN and a select", _plain_waking, "one small table; NOTIFY in the transaction that writes"),
        ),
        (
            Goal("PostgreSQL, another process: p50, × LISTEN", "LISTEN and a select", statistic="p50", at_most=1.3),
            Goal("PostgreSQL, another process: p99, × LISTEN", "LISTEN and a select", statistic="p99", at_most=2.0),
        ),
        waking.UNITS,
    ),
    Benchmark(
        "postgres-idling",
        f"PostgreSQL: what {IDLE:,} idle subscribers of a process ask of the server",
        (Contender("chatstore", _idle),),
        (
            Goal(f"PostgreSQL, {IDLE:,} idle subscribers: queries a second", metric="queries", at_most=2.0),
            Goal(f"PostgreSQL, {IDLE:,} idle subscribers: LISTEN connections", metric="connections", at_most=1.0),
        ),
        {"queries": ("a second", 1), "connections": ("connections", 1)},
        ("mean",),
    ),
    Benchmark(
        "postgres-reading",
        "PostgreSQL: the last 50 of the transcript of a short history and of a long one",
        (
            Contender("a short history", partial(_reading, lambda scale: SHORT), f"{SHORT:,} blocks"),
            Contender(
                "a long history",
                partial(_reading, lambda scale: scale.of(LONG, LONG_IN_QUICK)),
                f"{LONG:,} blocks; with --quick {LONG_IN_QUICK:,}",
            ),
        ),
        (
            Goal(
                f"PostgreSQL, last 50 of the transcript: 1,000,000 blocks (--quick: {LONG_IN_QUICK:,}), × 1,000",
                "a short history",
                "a long history",
                "last 50",
                "p50",
                at_most=1.5,
            ),
        ),
        {"last 50": ("µs", 1e6)},
        ("p50", "p99"),
    ),
)
