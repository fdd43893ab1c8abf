"""Stores at the other end of HTTP, the server in a process of its own: `python -m benchmarks remote`.

Of the waits, the clock is that of `waking`: from just before the call in one client to the change in another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from benchmarks import material, waking
from benchmarks.children import Line, child
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale
from benchmarks.serving_servers import serve_chatstore
from benchmarks.stores import NOTE_UNSYNCED, UNSYNCED, async_histories, directory, histories
from benchmarks.workloads import TASKS, Append, AsyncAppend, awaited, from_tasks, one_at_a_time
from chatstore import AsyncChatStore, ChatStore

TOKENS = waking.Pace(0.01, 500, 50)
HERE = "in this process"


@contextmanager
def _server() -> Iterator[tuple[str, str]]:
    """Its address, and a token."""
    with directory() as path, child(serve_chatstore, path / "chat.db") as server:
        place = server.receive()
        yield f"http://127.0.0.1:{place['port']}", place["token"]


@contextmanager
def _remote() -> Iterator[Callable[[str], Append]]:
    with _server() as (url, token), ChatStore(url, token=token) as store:
        yield lambda context: store.history(context).append_user_message


@asynccontextmanager
async def _async_remote() -> AsyncIterator[Callable[[str], AsyncAppend]]:
    with _server() as (url, token):
        async with AsyncChatStore(url, token=token) as store:
            yield lambda context: store.history(context).append_user_message


@contextmanager
def _waking(scale: Scale) -> Iterator[Callable[[], Round]]:
    with (
        _server() as (url, token),
        ChatStore(url, token=token) as store,
        child(follow_remote, url, token) as subscriber,
    ):
        yield partial(
            waking.one_round, waking.STREAM, scale, store.history("live").append_assistant_message, subscriber
        )


def follow_remote(line: Line, url: str, token: str) -> None:
    """A subscriber in a process of its own."""
    with ChatStore(url, token=token) as store, store.history("live").subscribe() as changes:
        waking.answer(line, lambda: next(changes))


@contextmanager
def _tokens(scale: Scale) -> Iterator[Callable[[], Round]]:
    with (
        _server() as (url, token),
        ChatStore(url, token=token) as store,
        child(follow_tokens, url, token) as subscriber,
    ):
        subscriber.receive()
        yield lambda: _written(store, scale.of(TOKENS.full, TOKENS.quick), subscriber)


def _written(store: ChatStore, count: int, subscriber: Line) -> Round:
    """Tokens at a pace into an open block; until each was seen."""
    subscriber.send(count)
    called: list[int] = []
    with store.history("live").open_message() as block:
        due = time.monotonic()
        for word in itertools.islice(itertools.cycle(material.texts()), count):
            due += TOKENS.every
            time.sleep(max(due - time.monotonic(), 0))
            called.append(time.monotonic_ns())
            block.write(word[:5] or "token")
        seen = subscriber.receive()
    return {"seconds": [(end - begin) / 1e9 for begin, end in zip(called, seen, strict=True)]}


def follow_tokens(line: Line, url: str, token: str) -> None:
    """Says when the text was as long as with each token; it is told how many come."""
    from chatstore import BlockAdded, TextAppended

    with ChatStore(url, token=token) as store, store.history("live").subscribe() as changes:
        line.send("follows")
        while True:
            count, seen, length = line.receive(), list[int](), 0
            ends = [*itertools.accumulate(_lengths(count))]
            while len(seen) < count:
                change = next(changes)
                if isinstance(change, BlockAdded):
                    length = 0
                elif isinstance(change, TextAppended):
                    length += len(change.text)
                while len(seen) < count and ends[len(seen)] <= length:
                    seen.append(time.monotonic_ns())
            line.send(seen)


def _lengths(count: int) -> list[int]:
    return [len(word[:5] or "token") for word in itertools.islice(itertools.cycle(material.texts()), count)]


BENCHMARKS = (
    Benchmark(
        "remote-append",
        "one append through HTTP, each awaited",
        (
            Contender("chatstore", one_at_a_time(_remote, full=400, quick=60), NOTE_UNSYNCED),
            Contender("event loop", awaited(_async_remote, full=400, quick=60), NOTE_UNSYNCED),
            Contender(HERE, one_at_a_time(partial(histories, UNSYNCED), full=400, quick=60), NOTE_UNSYNCED),
        ),
        (Goal("one append through HTTP: p50, seconds", statistic="p50", at_most=0.005),),
        {"seconds": ("µs", 1e6)},
    ),
    Benchmark(
        "remote-tasks",
        f"appends through HTTP from {TASKS} tasks, each awaiting its own, on {TASKS} contexts",
        (
            Contender("chatstore", from_tasks(_async_remote, contexts=TASKS, full=20, quick=4), NOTE_UNSYNCED),
            Contender(
                HERE, from_tasks(partial(async_histories, UNSYNCED), contexts=TASKS, full=20, quick=4), NOTE_UNSYNCED
            ),
        ),
        (Goal(f"{TASKS} tasks through HTTP: seconds an append", statistic="mean", at_most=0.004),),
        {"seconds": ("µs an append", 1e6)},
        ("mean",),
    ),
    Benchmark(
        "remote-waking",
        "an append of one remote client to the change in another, one every 10 ms",
        (Contender("chatstore", _waking, NOTE_UNSYNCED),),
        (Goal("from one remote client to another: p99, seconds", statistic="p99", at_most=0.05),),
        waking.UNITS,
    ),
    Benchmark(
        "remote-tokens",
        "a token of a block that one remote client writes to another client, one every 10 ms",
        (Contender("chatstore", _tokens, NOTE_UNSYNCED),),
        (Goal("a token from one remote client to another: p99, seconds", statistic="p99", at_most=0.05),),
        {"seconds": ("µs", 1e6)},
    ),
)
