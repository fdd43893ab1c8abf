"""Servers with many clients: what reaches a thousand of them and when, what each costs, and what idle ones do.

The clients are in one process, the server in another, and both servers are there from the start to the end: in turns,
the same clients are sent the same changes by one and the other. What is compared with is an application of Starlette's
that sends and does nothing else: it stores nothing, forgets what was sent, and knows no cursors, tokens or filters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.children import Line, child
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale, Unavailable
from benchmarks.serving_clients import follow
from benchmarks.serving_servers import serve_chatstore, serve_plain
from benchmarks.stores import NOTE_UNSYNCED, directory

CLIENTS, IN_QUICK = 1_000, 100
IDLE, IDLE_IN_QUICK = 10_000, 500
EVERY = 0.02
"""Seconds between two changes."""
WINDOW = 30.0
"""Seconds over which the use of the processor by idle clients is taken: two heartbeats of each."""
NOTE_PLAIN = "sends to all that are there, and does nothing else"

Start = Callable[[Scale], Any]


@contextmanager
def _server(work: Callable[..., None]) -> Iterator[tuple[Line, dict[str, Any]]]:
    if not Path("/proc/self/statm").exists():
        raise Unavailable("resident memory is read from /proc, which only Linux has")
    with directory() as path, child(work, path / "chat.db") as line:
        yield line, line.receive()


@contextmanager
def _following(work: Callable[..., None], scale: Scale) -> Iterator[Callable[[], Round]]:
    count = scale.of(CLIENTS, IN_QUICK)
    with _server(work) as (server, place), child(follow, place["port"], place["token"]) as clients:
        before = server.ask("memory")
        clients.ask({"connect": count})
        memory = (server.ask("memory") - before) / count

        def one() -> Round:
            told = clients.ask({"changes": scale.of(250, 50), "every": EVERY})
            assert told["missed"] == 0, f"{told['missed']} changes did not reach their client"
            return {"seconds": told["seconds"], "memory": [memory], "append": [1 / told["appended"]]}

        yield one


@contextmanager
def _idle(work: Callable[..., None], scale: Scale) -> Iterator[Callable[[], Round]]:
    count = scale.of(IDLE, IDLE_IN_QUICK)
    with _server(work) as (server, place), child(follow, place["port"], place["token"]) as clients:
        before = server.ask("memory")
        clients.ask({"connect": count})
        memory = (server.ask("memory") - before) / count
        samples: list[tuple[float, float]] = [server.ask("used")]

        def one() -> Round:
            time.sleep(scale.of(5, 1))
            samples.append(server.ask("used"))
            (end, used), earlier = samples[-1], [*samples[:-1]]
            begun, already = next((one for one in reversed(earlier) if end - one[0] >= WINDOW), earlier[0])
            return {"processor": [(used - already) / (end - begun)], "memory": [memory]}

        yield one


BENCHMARKS = (
    Benchmark(
        "serving",
        f"{CLIENTS:,} clients of server-sent events on one context (--quick: {IN_QUICK}), a change every 20 ms, and 200"
        " appends a second to others meanwhile",
        (
            Contender("chatstore", partial(_following, serve_chatstore), NOTE_UNSYNCED),
            Contender("Starlette", partial(_following, serve_plain), NOTE_PLAIN),
        ),
        (
            Goal("server-sent events to 1,000 clients: p99, × plain", "Starlette", statistic="p99", at_most=2.0),
            Goal("server-sent events: bytes of the server's memory for a client", metric="memory", at_most=60 * 1024),
            Goal("appends through HTTP meanwhile: seconds for each", metric="append", at_most=1 / 195),
        ),
        {"seconds": ("ms", 1e3), "memory": ("kB each", 1 / 1024), "append": ("ms for each append", 1e3)},
    ),
    Benchmark(
        "serving-idle",
        f"{IDLE:,} idle clients of server-sent events (--quick: {IDLE_IN_QUICK})",
        (
            Contender("chatstore", partial(_idle, serve_chatstore), "with a heartbeat every 15 s"),
            Contender("Starlette", partial(_idle, serve_plain), "without heartbeats"),
        ),
        (Goal("10,000 idle clients: share of a core, over 30 s", metric="processor", at_most=0.02),),
        {"processor": ("% of a core", 100), "memory": ("kB each", 1 / 1024)},
        ("mean",),
    ),
)
