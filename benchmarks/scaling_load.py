"""Load on a store from processes of its own, and what a server did meanwhile: for `benchmarks.scaling_measure`."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import material
from benchmarks.children import Line, child
from chatstore import AsyncChatStore, ChatStore
from chatstore.databases.postgres.notifying import channel_of

WARM, ROUND = 1.0, 3.0
"""Seconds that are thrown away, and that count."""
ROUNDS, UNDISTURBED = 8, 0.12
"""Rounds, at most, until one beside which others used less than so much of a processor."""


def append_for(line: Line, place: str, tasks: str, prefix: str, contexts: str) -> None:
    """A process whose tasks append, each when its last append has returned, for as long as it is told."""
    asyncio.run(_load(line, place, int(tasks), prefix, int(contexts)))


async def _load(line: Line, place: str, tasks: int, prefix: str, contexts: int) -> None:
    texts = itertools.cycle(material.texts())
    async with AsyncChatStore(place) as store:
        histories = [store.history(f"{prefix}-{number % contexts}") for number in range(tasks)]
        await asyncio.gather(*(history.append_user_message("the first") for history in histories))
        line.send("ready")

        async def one(number: int, until: float) -> int:
            count = 0
            while time.monotonic() < until:
                await histories[number].append_user_message(next(texts))
                count += 1
            return count

        while True:
            seconds = await asyncio.to_thread(line.receive)
            begun, used = time.monotonic(), time.process_time()
            counts = await asyncio.gather(*(one(number, begun + seconds) for number in range(tasks)))
            line.send((sum(counts), time.monotonic() - begun, time.process_time() - used))


def appending(place: str, processes: int, tasks: int, *, shared: int = 0, listening: int = 0) -> dict[str, float]:
    """Appends of so many processes and tasks each, on contexts of their own or on so many that all share, while so many
    connections listen."""
    with ExitStack() as stack:
        for _ in range(listening):
            stack.enter_context(_listener(place))
        lines = [
            stack.enter_context(
                child(append_for, place, tasks, "shared" if shared else f"of-{processes}-{number}", shared or tasks)
            )
            for number in range(processes)
        ]
        for line in lines:
            line.receive()
        _ask(lines, WARM)
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(_round(place, lines))
            if abs(rounds[-1]["others"]) < UNDISTURBED:
                break
            time.sleep(1)
    return min(rounds, key=lambda one: abs(one["others"]))


def _listener(url: str) -> Any:
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        [(identity,)] = conn.execute("SELECT value FROM chatstore.store_info WHERE name = 'identity'").fetchall()
    conn = psycopg.connect(url, autocommit=True)
    conn.execute(f'LISTEN "{channel_of(identity)}"')
    return conn


def _round(place: str, lines: list[Line]) -> dict[str, float]:
    log, before = of_log(place), processors(place)
    answers = _ask(lines, ROUND)
    used = {name: value - before[name] for name, value in processors(place).items()}
    logged = {name: value - log[name] for name, value in of_log(place).items()}
    appends, client = sum(count for count, _, _ in answers), sum(seconds for _, _, seconds in answers)
    found = {"appends/s": sum(count / seconds for count, seconds, _ in answers), "client µs": 1e6 * client / appends}
    if logged:
        found["server µs"] = 1e6 * used["server"] / appends
        found["group"] = appends / logged["commits"]
        found["WAL bytes"] = logged["bytes"] / appends
    found["others"] = (used["machine"] - client - used.get("server", 0)) / max(seconds for _, seconds, _ in answers)
    return found


def _ask(lines: list[Line], seconds: float) -> list[Any]:
    for line in lines:
        line.send(seconds)
    return [line.receive() for line in lines]


def of_log(place: str) -> dict[str, float]:
    """How many transactions wrote to a server's store so far, and the bytes of the server's log; of a file nothing."""
    import psycopg

    if "://" not in place:
        return {}
    with psycopg.connect(place, autocommit=True) as conn:
        [(commits, log)] = conn.execute(
            "SELECT (SELECT count(DISTINCT id >> 20) FROM chatstore.changes), pg_current_wal_insert_lsn() - '0/0'"
        ).fetchall()
    return {"commits": float(commits), "bytes": float(log)}


def processors(place: str) -> dict[str, float]:
    """Seconds of a processor used so far: by the whole machine, and by the processes of a server that live now."""
    import psycopg

    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    spent = dict(zip(names, map(int, Path("/proc/stat").read_text().split()[1:9]), strict=True))
    busy = sum(spent[name] for name in ("user", "nice", "system", "irq", "softirq")) / os.sysconf("SC_CLK_TCK")
    if "://" not in place:
        return {"machine": busy}
    with psycopg.connect(place) as conn:
        [(data,)] = conn.execute("SELECT current_setting('data_directory')").fetchall()
    return {"machine": busy, "server": processor_of_server(Path(data))}


def processor_of_server(data: Path) -> float:
    """Seconds of a processor that the server's processes which live now have used."""
    parent = (data / "postmaster.pid").read_text().split()[0]
    total = 0
    for found in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = found.read_text().rpartition(")")[2].split()
            if after[1] == parent:
                total += int((found.parent / "schedstat").read_text().split()[0])
        except OSError:
            continue  # it ended meanwhile
    return total / 1e9


def listen_and_tell(line: Line, url: str) -> None:
    """A process with one subscription, of a context that is not written to."""
    with ChatStore(url) as store:
        store.history("followed").append_user_message("the first")
        with store.history("followed").subscribe() as changes:
            next(changes)
            threading.Thread(target=lambda: next(changes, None), daemon=True).start()
            line.send("ready")
            while True:
                line.receive()
                line.send(time.process_time())
