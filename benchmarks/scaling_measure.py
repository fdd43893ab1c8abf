"""The figures that the model of `benchmarks.scaling` is made of: `python -m benchmarks.scaling_measure [NAME …]`.

Each takes some seconds, on a server and in files of its own. What it prints is copied into `scaling_model` by hand.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from benchmarks import material
from benchmarks.children import child
from benchmarks.peers import postgres
from benchmarks.scaling_load import appending, listen_and_tell, of_log, processor_of_server, processors
from benchmarks.stores import directory
from benchmarks.tokens import tokens
from chatstore import AsyncChatStore, ChatStore

STREAMS, PACE = 100, 50
"""Answers that grow at once, and the tokens a second of each: what common models give."""


def groups() -> None:
    """What a commit and each append in it take: one process, more and more tasks, each on a context of its own."""
    with postgres.server() as url:
        for tasks in (1, 3, 10, 30, 100, 300):
            _print(f"PostgreSQL 1 x {tasks}", appending(url, 1, tasks))


def spread() -> None:
    """Several processes, on contexts of their own."""
    with postgres.server() as url:
        for processes, tasks in ((1, 100), (2, 50), (4, 25), (8, 12), (4, 1), (16, 1)):
            _print(f"PostgreSQL {processes} x {tasks}", appending(url, processes, tasks))


def heard() -> None:
    """While fifty connections listen."""
    with postgres.server() as url:
        _print("PostgreSQL 4 x 25, 50 listen", appending(url, 4, 25, listening=50))


def hot() -> None:
    """The same on one history that all share."""
    with postgres.server() as url:
        for processes, tasks in ((1, 100), (2, 50), (4, 25), (4, 1), (8, 1)):
            _print(f"PostgreSQL, one history, {processes} x {tasks}", appending(url, processes, tasks, shared=1))


def files() -> None:
    """A file."""
    for processes, tasks in ((1, 1), (1, 10), (1, 100), (2, 50), (4, 25), (4, 1), (8, 1)):
        with directory() as path:
            _print(f"SQLite {processes} x {tasks}", appending(str(path / "chat.db"), processes, tasks))


def disk() -> None:
    """How long a page takes to the disk."""
    with directory() as path, (path / "file").open("wb+", buffering=0) as file:
        file.write(bytes(1 << 24))
        os.fsync(file.fileno())
        taken = []
        for number in range(1_000):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 8192, 8192 * number)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        for number in range(64):
            os.pwrite(file.fileno(), b"y" * (1 << 20), (number % 16) << 20)
            os.fdatasync(file.fileno())
        rate = 64 / (time.perf_counter() - begun)
        _print("1 MB and fdatasync", {"MB/s": rate})
    _print("8 kB and fdatasync", {"p50 µs": 1e6 * statistics.median(taken), "mean µs": 1e6 * statistics.mean(taken)})


def sizes() -> None:
    """Bytes on the disk of a block, appended by one caller, and of the server's log."""
    import psycopg

    texts = [*itertools.islice(itertools.cycle(material.texts()), 20_000)]
    length = sum(len(text.encode()) for text in texts) / len(texts)
    with directory() as path:
        with ChatStore(path / "chat.db") as store:
            wrote = _written()
            for number, text in enumerate(texts):
                store.history(f"context-{number % 500}").append_user_message(text)
            wrote = _written() - wrote
        size = (path / "chat.db").stat().st_size
        found = {"text": length, "bytes a block": size / len(texts), "written a block": wrote / len(texts)}
        _print("SQLite, 20,000 blocks in 500 contexts", found)
    with postgres.server() as url, psycopg.connect(url, autocommit=True) as conn:
        before = of_log(url)["bytes"], _on_disk(conn)
        with ChatStore(url) as store:
            for number, text in enumerate(texts):
                store.history(f"context-{number % 500}").append_user_message(text)
        log, size = of_log(url)["bytes"] - before[0], _on_disk(conn) - before[1]
        found = {"text": length, "bytes a block": size / len(texts), "WAL bytes": log / len(texts)}
        _print("PostgreSQL, 20,000 blocks in 500 contexts", found)
        for name, one in conn.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'chatstore'::regnamespace ORDER BY 2 DESC LIMIT 4"
        ).fetchall():
            _print(f"  {name}", {"bytes a block": one / len(texts)})


def _written() -> int:
    """Bytes that this process had the disk take."""
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(said["write_bytes"])


def _on_disk(conn: Any) -> int:
    [(size,)] = conn.execute(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'chatstore'::regnamespace"
    ).fetchall()
    return int(size)


def streams() -> None:
    """Answers that grow token by token, at the pace of models."""
    import psycopg

    with directory() as path:
        _print(f"SQLite, {STREAMS} streams of {PACE}/s", asyncio.run(_stream(str(path / "chat.db"), lambda: {})))
        size = (path / "chat.db").stat().st_size
        with ChatStore(path / "chat.db") as store:
            store.compact(older_than=0)
        with closing(sqlite3.connect(path / "chat.db")) as file:
            file.execute("VACUUM")
        _print("  compacted", {"bytes before": size, "bytes after": (path / "chat.db").stat().st_size})
    with postgres.server() as url, psycopg.connect(url, autocommit=True) as conn:
        look = lambda: {**of_log(url), **processors(url), "size": float(_on_disk(conn))}  # noqa: E731
        _print(f"PostgreSQL, {STREAMS} streams of {PACE}/s", asyncio.run(_stream(url, look)))
        before = _on_disk(conn)
        with ChatStore(url) as store:
            store.compact(older_than=0)
        conn.execute("VACUUM FULL chatstore.changes")
        _print("  compacted", {"bytes before": before, "bytes after": _on_disk(conn)})


async def _stream(place: str, look: Callable[[], dict[str, float]]) -> dict[str, float]:
    async with AsyncChatStore(place) as store:
        writers = [await store.history(str(number)).open_message() for number in range(STREAMS)]
        count = int(6 * PACE)
        given = [[*itertools.islice(itertools.cycle(tokens()), n * 997, n * 997 + count)] for n in range(STREAMS)]
        await asyncio.sleep(0.5)
        before, used, begun = look(), time.process_time(), time.monotonic()

        async def one(place: int) -> None:
            for number, token in enumerate(given[place]):
                due = begun + (number + place / STREAMS) / PACE
                await asyncio.sleep(max(due - time.monotonic(), 0))
                await writers[place].write(token)
            await writers[place].close()

        await asyncio.gather(*map(one, range(STREAMS)))
        taken, used, after = time.monotonic() - begun, time.process_time() - used, look()
    total = count * STREAMS
    found = {"tokens/s": total / taken, "client µs a token": 1e6 * used / total}
    found |= {f"{name} a token": (after[name] - before[name]) / total for name in before}
    return found


def flat() -> None:
    """Tokens as fast as they go."""
    with directory() as path:
        _print("SQLite, flat out", asyncio.run(_flat(str(path / "chat.db"))))
    with postgres.server() as url:
        _print("PostgreSQL, flat out", asyncio.run(_flat(url)))


async def _flat(place: str) -> dict[str, float]:
    async with AsyncChatStore(place) as store:
        writers = [await store.history(str(number)).open_message() for number in range(STREAMS)]
        given = [*itertools.islice(itertools.cycle(tokens()), 4_000)]
        begun, used = time.monotonic(), time.process_time()

        async def one(writer: Any) -> None:
            for number, token in enumerate(given):
                await writer.write(token)
                if number % 10 == 9:
                    await asyncio.sleep(0)
            await writer.flush()

        await asyncio.gather(*map(one, writers))
        taken, used = time.monotonic() - begun, time.process_time() - used
        for writer in writers:
            await writer.close()
    total = len(given) * STREAMS
    return {"tokens/s": total / taken, "client µs a token": 1e6 * used / total}


LISTENERS: Final = (0, 10, 50, 90)


def notices() -> None:
    """What a notice takes of the server, by how many connections listen; and how many it can take in a second."""
    import psycopg

    with postgres.server() as url, ExitStack() as stack:
        conn = stack.enter_context(psycopg.connect(url, autocommit=True))
        [(data,)] = conn.execute("SELECT current_setting('data_directory')").fetchall()
        listening: list[Any] = []
        for count in LISTENERS:
            while len(listening) < count:
                listening.append(stack.enter_context(psycopg.connect(url, autocommit=True)))
                listening[-1].execute("LISTEN x")
            used, begun = processor_of_server(Path(data)), time.monotonic()
            for _ in range(1_000):
                conn.execute("SELECT set_config('synchronous_commit', 'off', true), pg_notify('x', 'somebody some')")
                time.sleep(0.002)
            time.sleep(0.2)
            found = {"server µs": 1e6 * (processor_of_server(Path(data)) - used) / 1_000}
            _print(f"a notice, {count} listen", found | {"notices/s": 1_000 / (time.monotonic() - begun - 0.2)})


def hearing() -> None:
    """What a process takes that hears notices of contexts which nobody in it follows."""
    with postgres.server() as url, ChatStore(url) as store, child(listen_and_tell, url) as line:
        line.receive()
        append = store.history("other").append_user_message
        append("the first")
        for pause in (None, 0.01, 0.003):
            time.sleep(1.0)
            idle, begun = line.ask("used"), time.monotonic()
            for _ in range(int(3 / pause) if pause else 0):
                append("something")
                time.sleep(pause or 0)
            time.sleep(0.0 if pause else 3)
            taken, used = time.monotonic() - begun, line.ask("used") - idle
            _print(f"hearing, pause {pause}", {"core %": 100 * used / taken, "µs": 1e6 * used / (3 / (pause or 0.01))})


MEASURED = {
    one.__name__: one for one in (disk, groups, spread, heard, hot, files, sizes, streams, flat, notices, hearing)
}


def _print(what: str, found: dict[str, float]) -> None:
    shown = ", ".join(
        f"{name} {value:,.0f}" if value >= 100 else f"{name} {value:.3g}" for name, value in found.items()
    )
    print(f"{what}: {shown}", flush=True)


def main() -> None:
    """Runs those that were named, or all."""
    for name in sys.argv[1:] or MEASURED:
        print(f"\n{name}: {MEASURED[name].__doc__}")
        MEASURED[name]()


if __name__ == "__main__":
    main()
