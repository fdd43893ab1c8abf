"""How soon a subscriber has what was committed: in another process during a stream and after silence, and in one.

The clock is CLOCK_MONOTONIC, which all processes of a machine share. `seconds` is from just before the writer's call:
what a person waits, with the commit in it. `after return` is from when the writer was told that it is stored; below
zero, the subscriber had it first.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from benchmarks import material
from benchmarks.children import Line, child
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale, Unavailable
from benchmarks.peers import nats, redis
from benchmarks.stores import NOTE_UNSYNCED, UNSYNCED, directory
from chatstore import AsyncChatStore, ChatStore

SETTLE = 0.05
"""Seconds in which a subscriber that was just told to begin comes to wait."""
APART = 0.001
"""Seconds between two changes within one process, so that the subscriber always waits for the next."""
UNITS = {"seconds": ("µs", 1e6), "after return": ("µs", 1e6)}

Write: TypeAlias = Callable[[str], object]


@dataclass(frozen=True)
class Pace:
    """Seconds between two commits, and how many a round has in full and in quick; none: it is left out."""

    every: float
    full: int
    quick: int


STREAM, SILENCE, RARE_SILENCE = Pace(0.01, 200, 30), Pace(2.0, 3, 1), Pace(2.0, 1, 0)


def one_round(pace: Pace, scale: Scale, write: Write, subscriber: Line) -> Round:
    """Writes at a pace; when each was called, when it returned, and when the subscriber had it."""
    count = scale.of(pace.full, pace.quick)
    subscriber.ask(count)
    time.sleep(SETTLE)
    called, returned = [], []
    due = time.monotonic()
    for text in itertools.islice(itertools.cycle(material.texts()), count):
        due += pace.every
        time.sleep(max(due - time.monotonic(), 0))
        called.append(time.monotonic_ns())
        write(text)
        returned.append(time.monotonic_ns())
    return _costs(called, returned, subscriber.receive())


def _costs(called: list[int], returned: list[int], seen: list[int]) -> Round:
    return {
        "seconds": [(end - begin) / 1e9 for begin, end in zip(called, seen, strict=True)],
        "after return": [(end - begin) / 1e9 for begin, end in zip(returned, seen, strict=True)],
    }


def answer(line: Line, wait_for_one: Callable[[], object]) -> None:
    """The subscriber's end of a round."""
    while True:
        count = line.receive()
        line.send("waiting")
        seen = []
        for _ in range(count):
            wait_for_one()
            seen.append(time.monotonic_ns())
        line.send(seen)


@contextmanager
def _chatstore(pace: Pace, scale: Scale) -> Iterator[Callable[[], Round]]:
    with (
        directory() as path,
        ChatStore(path / "chat.db", durability=UNSYNCED) as store,
        child(follow_chatstore, store.path) as subscriber,
    ):
        yield partial(one_round, pace, scale, store.history("live").append_assistant_message, subscriber)


def follow_chatstore(line: Line, path: str) -> None:
    """A subscriber in a process of its own."""
    with ChatStore(path, durability=UNSYNCED) as store, store.history("live").subscribe() as changes:
        answer(line, lambda: next(changes))


@contextmanager
def _redis(pace: Pace, scale: Scale) -> Iterator[Callable[[], Round]]:
    with redis.server() as port:
        from redis import Redis

        with Redis(port=port) as client, child(follow_redis, port) as subscriber:
            yield partial(one_round, pace, scale, lambda text: client.xadd("live", {"text": text}), subscriber)


def follow_redis(line: Line, port: str) -> None:
    """Reads a stream, waiting at its end."""
    from redis import Redis

    with Redis(port=int(port)) as client:
        entries = _read_redis(lambda last: client.xread({"live": last}, block=0)[0][1])
        answer(line, lambda: next(entries))


def _read_redis(read: Callable[[bytes], list[tuple[bytes, object]]]) -> Iterator[object]:
    last = b"0"
    while True:
        entries = read(last)
        yield from entries
        last = entries[-1][0]


@contextmanager
def _nats(pace: Pace, scale: Scale) -> Iterator[Callable[[], Round]]:
    if not scale.of(pace.full, pace.quick):
        raise Unavailable("left out with --quick")
    try:
        import nats as client
    except ImportError:
        raise Unavailable("nats-py is not installed: pip install nats-py") from None
    with nats.server() as port, asyncio.Runner() as runner:
        connection = runner.run(client.connect(f"nats://127.0.0.1:{port}"))
        stream = connection.jetstream()
        runner.run(stream.add_stream(name="live", subjects=["live"]))
        with child(follow_nats, port) as subscriber:
            yield partial(
                one_round, pace, scale, lambda text: runner.run(stream.publish("live", text.encode())), subscriber
            )
        runner.run(connection.close())


def follow_nats(line: Line, port: str) -> None:
    """A push consumer that acknowledges nothing, as a subscriber who keeps a cursor would."""
    import nats as client

    with asyncio.Runner() as runner:
        connection = runner.run(client.connect(f"nats://127.0.0.1:{port}"))
        messages = runner.run(connection.jetstream().subscribe("live", ordered_consumer=True))
        try:
            answer(line, lambda: runner.run(messages.next_msg(timeout=None)))
        finally:
            runner.run(connection.close())


@contextmanager
def _threads(scale: Scale) -> Iterator[Callable[[], Round]]:
    """Writer and subscriber are two threads."""
    with directory() as path, ChatStore(path / "chat.db", durability=UNSYNCED) as store:
        history, arrived = store.history("live"), threading.Semaphore(0)
        seen: list[int] = []
        changes = history.subscribe()
        follower = threading.Thread(target=_note, args=(changes, seen, arrived.release))
        follower.start()

        def one() -> Round:
            seen.clear()
            called, returned = [], []
            for text in material.texts()[: scale.of(1_000, 200)]:
                time.sleep(APART)
                called.append(time.monotonic_ns())
                history.append_assistant_message(text)
                returned.append(time.monotonic_ns())
                arrived.acquire()
            return _costs(called, returned, seen)

        yield one
        changes.close()
        follower.join()


def _note(changes: Iterator[object], seen: list[int], arrived: Callable[[], object]) -> None:
    for _ in changes:
        seen.append(time.monotonic_ns())
        arrived()


@contextmanager
def _tasks(scale: Scale) -> Iterator[Callable[[], Round]]:
    """Writer and subscriber are two tasks of one event loop."""
    with directory() as path, asyncio.Runner() as runner:
        store = AsyncChatStore(path / "chat.db", durability=UNSYNCED)
        yield lambda: runner.run(_one_loop(store, scale.of(1_000, 200)))
        runner.run(store.close())


async def _one_loop(store: AsyncChatStore, count: int) -> Round:
    history, arrived = store.history("live"), asyncio.Semaphore(0)
    seen: list[int] = []
    async with history.subscribe(after="now") as changes:

        async def note() -> None:
            async for _ in changes:
                seen.append(time.monotonic_ns())
                arrived.release()

        follower = asyncio.create_task(note())
        called, returned = [], []
        for text in material.texts()[:count]:
            await asyncio.sleep(APART)
            called.append(time.monotonic_ns())
            await history.append_assistant_message(text)
            returned.append(time.monotonic_ns())
            await arrived.acquire()
    await follower
    return _costs(called, returned, seen)


def _contenders(pace: Pace, rare: Pace) -> tuple[Contender, ...]:
    return (
        Contender("chatstore", partial(_chatstore, pace), NOTE_UNSYNCED),
        Contender("redis-py XREAD BLOCK", partial(_redis, pace), redis.NOTE),
        Contender("NATS JetStream", partial(_nats, rare), nats.NOTE),
    )


BENCHMARKS = (
    Benchmark(
        "waking",
        "commit in one process to the change in a subscriber of another, one every 10 ms",
        _contenders(STREAM, STREAM),
        (
            Goal("stream, another process: p50, × Redis", "redis-py XREAD BLOCK", statistic="p50", at_most=1.0),
            Goal("stream, another process: p99, × Redis", "redis-py XREAD BLOCK", statistic="p99", at_most=1.0),
        ),
        UNITS,
    ),
    Benchmark(
        "silence",
        "the same after 2 s of silence",
        _contenders(SILENCE, RARE_SILENCE),
        (Goal("after 2 s of silence: p50, × Redis", "redis-py XREAD BLOCK", statistic="p50", at_most=1.5),),
        UNITS,
        ("p50", "max"),
    ),
    Benchmark(
        "within",
        "commit to the change in a subscriber of the same process",
        (
            Contender("chatstore, threads", _threads, "the subscriber is a thread"),
            Contender("chatstore, asyncio", _tasks, "the subscriber is a task of the writer's event loop"),
        ),
        (
            Goal("within one process, threads: p50 in s", of="chatstore, threads", statistic="p50", at_most=0.0001),
            Goal("within one process, asyncio: p50 in s", of="chatstore, asyncio", statistic="p50", at_most=0.0001),
        ),
        UNITS,
    ),
)
