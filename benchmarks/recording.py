"""Recording: what `record(stream, history)` takes of an agent's own time, for each token.

The stream is a list of events that OpenAI's package made before, so that nothing but the recording is timed. At a
pace is how models give their tokens: then only the time that the reader itself spends in `next` counts, not that it
waits for the model. There each token is committed by itself, beside the reader, and meets it as it wakes; its processor
time tells how much of what it takes is work, the pause for the model's turn with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from typing import Any

from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale, Unavailable
from benchmarks.stores import UNSYNCED, directory
from benchmarks.tokens import tokens
from chatstore import AsyncChatStore, ChatStore
from chatstore.recorders import record

PAUSE = 0.01
"""Seconds between two tokens at a pace: a hundred a second, as of a fast model."""


def _events(count: int) -> list[Any]:
    """A chat completion of so many tokens, as the package gives it."""
    try:
        from openai.types.chat import ChatCompletionChunk
    except ImportError:
        raise Unavailable("OpenAI's package: pip install openai") from None
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    deltas = [({"content": token}, None) for token in islice(cycle(tokens()), count)]
    return [
        ChatCompletionChunk.model_validate({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
        for delta, end in [*deltas, ({}, "stop")]
    ]


@contextmanager
def _sync(pace: float, scale: Scale) -> Iterator[Callable[[], Round]]:
    events = _events(scale.of(100, 50) if pace else scale.of(20_000, 2_000))
    with directory() as path, ChatStore(path / "chat.db", durability=UNSYNCED) as store:
        yield partial(_round, store, events, pace)


def _round(store: ChatStore, events: list[Any], pace: float) -> Round:
    took: list[float] = []
    recording = record(_paced(events, pace, took), store.history("recorded"), strict=True)
    next(recording)  # with it the run and its block begin, which is no affair of a token
    took.clear()
    begun, processor = time.perf_counter(), time.thread_time()
    for _ in range(len(events) - 2):
        next(recording)
    spent, processor = time.perf_counter() - begun - sum(took), time.thread_time() - processor
    assert len(list(recording)) == 1
    return {"seconds": [spent / (len(events) - 2)], "processor": [processor / (len(events) - 2)]}


def _paced(events: list[Any], pace: float, took: list[float]) -> Iterator[Any]:
    """The model: `took` is what it made the reader wait."""
    for event in events:
        begun = time.perf_counter()
        if pace:
            time.sleep(pace)
        took.append(time.perf_counter() - begun)
        yield event


@contextmanager
def _async(pace: float, scale: Scale) -> Iterator[Callable[[], Round]]:
    events = _events(scale.of(100, 50) if pace else scale.of(20_000, 2_000))
    with directory() as path, asyncio.Runner() as runner:
        store = AsyncChatStore(path / "chat.db", durability=UNSYNCED)
        yield lambda: runner.run(_async_round(store, events, pace))
        runner.run(store.close())


async def _async_round(store: AsyncChatStore, events: list[Any], pace: float) -> Round:
    took: list[float] = []
    recording = record(_async_paced(events, pace, took), store.history("recorded"), strict=True)
    await anext(recording)
    took.clear()
    begun, processor = time.perf_counter(), time.thread_time()
    for _ in range(len(events) - 2):
        await anext(recording)
    spent, processor = time.perf_counter() - begun - sum(took), time.thread_time() - processor
    assert len([event async for event in recording]) == 1
    return {"seconds": [spent / (len(events) - 2)], "processor": [processor / (len(events) - 2)]}


async def _async_paced(events: list[Any], pace: float, took: list[float]) -> AsyncIterator[Any]:
    for event in events:
        begun = time.perf_counter()
        if pace:
            await asyncio.sleep(pace)
        took.append(time.perf_counter() - begun)
        yield event


@contextmanager
def _unrecorded(pace: float, scale: Scale) -> Iterator[Callable[[], Round]]:
    """The same loop over the same stream, to compare with."""
    events = _events(scale.of(100, 50) if pace else scale.of(20_000, 2_000))

    def one() -> Round:
        took: list[float] = []
        stream = _paced(events, pace, took)
        begun, processor = time.perf_counter(), time.thread_time()
        for _ in stream:
            pass
        spent, processor = time.perf_counter() - begun - sum(took), time.thread_time() - processor
        return {"seconds": [spent / len(events)], "processor": [processor / len(events)]}

    yield one


BENCHMARKS = (
    Benchmark(
        "recording",
        "a token of an OpenAI stream through record(stream, history): of the reader's own time",
        (
            Contender("chatstore", partial(_sync, 0.0), "as fast as they can be read"),
            Contender("chatstore, async", partial(_async, 0.0)),
            Contender("chatstore, 100 a second", partial(_sync, PAUSE), "the reader's time without the model's"),
            Contender("chatstore, async, 100 a second", partial(_async, PAUSE)),
            Contender("not recorded", partial(_unrecorded, 0.0)),
            Contender("not recorded, 100 a second", partial(_unrecorded, PAUSE)),
        ),
        (
            Goal("a token, of the agent's own time, in s", of="chatstore", metric="processor", at_most=20e-6),
            Goal("the same, async, in s", of="chatstore, async", metric="processor", at_most=20e-6),
        ),
        {"seconds": ("µs a token", 1e6), "processor": ("µs a token, of the reader's processor time", 1e6)},
        ("mean",),
    ),
)
