"""Text as a model gives it, token by token, into a hundred blocks at once.

At a pace, another process notes when it sees each token; flat out, what counts is how many are stored. And what a
subscriber that sleeps costs the writer.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, partial
from itertools import cycle, islice

from benchmarks import material
from benchmarks.children import Line, child
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale
from benchmarks.stores import UNSYNCED, directory
from chatstore import AsyncBlockWriter, AsyncChatStore, BlockAdded, Change, ChatStore, TextAppended

BLOCKS = 100
PACE = 101_000
"""Tokens a second: a little above the goal, so that who keeps up with it is seen to reach the goal."""
HANDFUL, SETTLE = 10, 0.05
"""Tokens that a task writes without giving others a turn, and seconds until the first are due."""
END = "end"
"""A context whose next block tells the reader that a round is over."""


@lru_cache(maxsize=1)
def tokens() -> tuple[str, ...]:
    """Text in pieces of four and five characters, as long as those of common models."""
    text = " ".join(material.texts())[:1_000_000]
    ends = itertools.accumulate(cycle((4, 5)))
    return tuple(text[end - 4 - (end % 9 == 0) : end] for end in itertools.takewhile(lambda end: end < len(text), ends))


@contextmanager
def _watched(
    scale: Scale, one: Callable[[AsyncChatStore, Scale, Line], Coroutine[object, object, Round]]
) -> Iterator[Callable[[], Round]]:
    """A store that another process follows as a whole."""
    with directory() as path, asyncio.Runner() as runner:
        store = AsyncChatStore(path / "chat.db", durability=UNSYNCED)
        runner.run(store.history(END).append_status_message("the first change"))
        with child(watch, store.path) as reader:
            reader.receive()
            yield lambda: runner.run(one(store, scale, reader))
        runner.run(store.close())


def watch(line: Line, path: str) -> None:
    """Follows the store from now on, and tells at the end of each round what it saw."""
    with ChatStore(path, durability=UNSYNCED) as store, store.subscribe(after="now") as changes:
        line.send("waiting")
        while True:
            line.receive()
            line.send(_noted(changes))


def _noted(changes: Iterable[Change]) -> list[tuple[int, int, int]]:
    """Of each piece of a round: in which context it came, how long its block's text is with it, and when."""
    noted = []
    for change in changes:
        now = time.monotonic_ns()
        if isinstance(change, TextAppended):
            noted.append((int(change.context_id), change.offset + len(change.text), now))
        elif isinstance(change, BlockAdded) and change.context_id == END:
            break
    return noted


async def _paced(store: AsyncChatStore, scale: Scale, reader: Line) -> Round:
    """A hundred tasks, as many models: each gives its tokens in handfuls, when they are due."""
    reader.send("begin")
    writers = await _open(store)
    handfuls = round(scale.of(3, 1) * PACE / BLOCKS / HANDFUL)
    given = [[*islice(cycle(tokens()), place * 1_000, place * 1_000 + handfuls * HANDFUL)] for place in range(BLOCKS)]
    begun = time.monotonic() + SETTLE
    written = await asyncio.gather(*map(partial(_give, begun), itertools.count(), writers, given))
    taken = time.monotonic() - begun
    await _close(store, writers)
    waits = _until_visible(given, written, reader.receive())
    return {"at a pace": [taken / len(waits)], "until visible": waits}


async def _give(begun: float, place: int, writer: AsyncBlockWriter, given: Sequence[str]) -> list[int]:
    """Writes a block's tokens; when each was written."""
    written = []
    apart = HANDFUL * BLOCKS / PACE
    for number in range(0, len(given), HANDFUL):
        due = begun + apart * (number / HANDFUL + place / BLOCKS)
        await asyncio.sleep(max(due - time.monotonic(), 0))
        for token in given[number : number + HANDFUL]:
            written.append(time.monotonic_ns())
            await writer.write(token)
    return written


def _until_visible(
    given: Sequence[Sequence[str]], written: Sequence[Sequence[int]], seen: Sequence[tuple[int, int, int]]
) -> list[float]:
    """How long each token took: it is visible once its block's text is as long as with it."""
    lengths: list[list[tuple[int, int]]] = [[] for _ in given]
    for context, length, when in seen:
        lengths[context].append((length, when))
    waits = []
    for tokens_of_one, times, reached in zip(given, written, lengths, strict=True):
        following, length, when = iter(reached), 0, 0
        for end, begun in zip(itertools.accumulate(map(len, tokens_of_one)), times, strict=True):
            while length < end:
                length, when = next(following)
            waits.append((when - begun) / 1e9)
    return waits


async def _flat_out(store: AsyncChatStore, scale: Scale, reader: Line) -> Round:
    """The same tasks as fast as they can, and the wait until all text is stored."""
    reader.send("begin")
    writers = await _open(store)
    each = scale.of(6_000, 1_000)
    given = [[*islice(cycle(tokens()), place * 1_000, place * 1_000 + each)] for place in range(BLOCKS)]
    begun = time.perf_counter()
    await asyncio.gather(*map(_pour, writers, given))
    taken = time.perf_counter() - begun
    await _close(store, writers)
    reader.receive()
    return {"flat out": [taken / (each * BLOCKS)]}


async def _pour(writer: AsyncBlockWriter, given: Sequence[str]) -> None:
    for number in range(0, len(given), HANDFUL):
        for token in given[number : number + HANDFUL]:
            await writer.write(token)
        await asyncio.sleep(0)  # a write does not wait, and the other tasks are to have their turn
    await writer.flush()


async def _open(store: AsyncChatStore) -> list[AsyncBlockWriter]:
    return [await store.history(str(number)).open_message() for number in range(BLOCKS)]


async def _close(store: AsyncChatStore, writers: Sequence[AsyncBlockWriter]) -> None:
    """Ends the blocks once all their text was given out as it came, and the round for the reader."""
    await asyncio.gather(*(writer.flush() for writer in writers))
    await asyncio.gather(*(writer.close() for writer in writers))
    await store.history(END).append_status_message("the round is over")


@contextmanager
def _followed_by(
    follower: Callable[[ChatStore], AbstractContextManager[object]], scale: Scale
) -> Iterator[Callable[[], Round]]:
    with directory() as path, ChatStore(path / "chat.db", durability=UNSYNCED) as store:
        store.history("growing").append_user_message("the first change")
        with follower(store):
            yield partial(_growing, store, scale.of(5_000, 1_000))


def _growing(store: ChatStore, pieces: int) -> Round:
    """Fifty blocks of one history grow in turn, and every piece is waited for."""
    history = store.history("growing")
    writers = [history.open_message() for _ in range(50)]
    begun = time.perf_counter()
    for _ in range(pieces // len(writers)):
        for writer in writers:
            writer.write("word ")
        for writer in writers:
            writer.flush()
    taken = time.perf_counter() - begun
    for writer in writers:
        writer.close()
    return {"seconds": [taken / pieces]}


def _nobody(store: ChatStore) -> AbstractContextManager[object]:
    return nullcontext()


@contextmanager
def _thread(store: ChatStore) -> Iterator[None]:
    """A subscriber that took one change and no more."""
    with store.history("growing").subscribe() as changes:
        next(changes)
        yield


@contextmanager
def _process(store: ChatStore) -> Iterator[None]:
    with child(sleep, store.path) as sleeper:
        sleeper.receive()
        yield


def sleep(line: Line, path: str) -> None:
    """Such a subscriber in a process of its own."""
    with ChatStore(path, durability=UNSYNCED) as store, store.history("growing").subscribe() as changes:
        next(changes)
        line.send("asleep")
        line.receive()


BENCHMARKS = (
    Benchmark(
        "tokens",
        f"tokens of 4-5 characters into {BLOCKS} open blocks of as many contexts, followed by another process",
        (
            Contender(
                "chatstore, 100,000 a second", partial(_watched, one=_paced), "visible: the other process has the text"
            ),
            Contender("chatstore, flat out", partial(_watched, one=_flat_out), "until all of them are stored"),
        ),
        (
            Goal(
                "tokens a second, flat out, all stored",
                of="chatstore, flat out",
                metric="flat out",
                at_least=100_000,
            ),
            Goal(
                "tokens a second at a pace, each seen by another process",
                of="chatstore, 100,000 a second",
                metric="at a pace",
                at_least=100_000,
            ),
            Goal(
                "at that pace: p99 until visible there, in s",
                of="chatstore, 100,000 a second",
                metric="until visible",
                statistic="p99",
                at_most=0.05,
            ),
        ),
        {"at a pace": ("µs a token", 1e6), "flat out": ("µs a token", 1e6), "until visible": ("ms", 1e3)},
    ),
    Benchmark(
        "sleeping",
        "a piece of 50 growing blocks, while a subscriber of their history sleeps",
        (
            Contender("nobody", partial(_followed_by, _nobody)),
            Contender("a thread asleep", partial(_followed_by, _thread)),
            Contender("a process asleep", partial(_followed_by, _process)),
        ),
        (),
        {"seconds": ("µs a piece", 1e6)},
        ("mean",),
    ),
)
