"""What scripts may ask of a recording beside text: of any framework, so that none is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatstore import AsyncChatStore, ChatStore, RunCancelled
from chatstore.recorders import Begin, Finish, Grow, Mark, Put, RecordOptions, Script, Step, start
from chatstore.recorders.machine.script import as_json

OPTIONS: RecordOptions = {"prompt": "Hello", "strict": True}


class Words(Script[Any]):
    """Each event is a whole message, and what comes by a callback is an internal one."""

    extra = "words"
    has_end = False

    def asked(self, prompt: str) -> Iterator[Step]:
        yield Put(role="user", text=prompt.upper())

    def read(self, event: Any) -> Iterator[Step]:
        internal = isinstance(event, list)
        yield Put(role="assistant", text=str(event), key=str(event), internal=internal)
        yield Mark(str(event), usage={"words": 1})

    def told(self, error: Exception) -> Exception:
        short = RuntimeError(str(error).partition("\n")[0])
        short.__cause__ = error
        return short


def failing() -> Iterator[str]:
    yield "one"
    raise RuntimeError("short\nand what nobody should read")


def test_a_prompt_is_stored_as_the_script_has_it(store: ChatStore) -> None:
    history = store.history("c")
    assert [*start(Words(), iter(["one"]), history, OPTIONS)] == ["one"]
    assert [block.text for block in history.get_messages()] == ["HELLO", "one"]


def test_what_a_block_cost_can_be_said_after_its_end(store: ChatStore) -> None:
    history = store.history("c")
    [*start(Words(), iter(["one"]), history, {"strict": True})]
    assert [block.usage for block in history.get_messages()] == [{"words": 1}]


def test_events_come_by_callbacks_too_until_the_run_ends(store: ChatStore) -> None:
    history = store.history("c")
    recording = start(Words(), iter(["one", "two"]), history, {"strict": True})
    next(recording)
    take = recording.take
    take(["aside"])
    assert [*recording] == ["two"]
    take(["too late"])
    assert [(block.text, block.internal) for block in history.get_messages()] == [
        ("one", False),
        ("['aside']", True),
        ("two", False),
    ]


def test_a_run_tells_of_an_error_what_the_script_lets_it(store: ChatStore) -> None:
    history = store.history("c")
    with pytest.raises(RuntimeError, match="nobody should read"):
        [*start(Words(), failing(), history, {"strict": True})]
    [run] = history.runs()
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("RuntimeError", "short")


async def test_all_of_it_is_the_same_in_an_event_loop(async_store: AsyncChatStore) -> None:
    async def source() -> AsyncIterator[str]:
        for word in failing():
            yield word

    history = async_store.history("c")
    recording = start(Words(), source(), history, OPTIONS)
    with pytest.raises(RuntimeError, match="nobody should read"):
        async for _ in recording:
            await recording.take(["aside"])
    blocks = await history.get_messages()
    assert [(block.text, block.usage) for block in blocks] == [
        ("HELLO", None),
        ("one", {"words": 1}),
        ("['aside']", {"words": 1}),
    ]
    [run] = await history.runs()
    assert run.error is not None
    assert run.error.message == "short"


def test_a_run_has_ended_when_its_stream_is_closed(store: ChatStore) -> None:
    history, states = store.history("c"), []

    def source() -> Iterator[str]:
        try:
            yield "one"
        finally:
            states.append(history.runs()[0].state)

    recording = start(Words(), source(), history, {"strict": True})
    next(recording)
    recording.close()
    assert states == ["cancelled"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (1, 1),
        (-1.5, -1.5),
        (2**63 - 1, 2**63 - 1),
        (2**70, str(2**70)),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ({1: {2.5, None}}, None),
    ],
)
def test_what_is_no_json_is_text(store: ChatStore, value: Any, expected: Any) -> None:
    made = as_json(value)
    stored = store.history("c").append_status_message("s", data={"value": made})
    assert stored.data == {"value": made}
    assert expected is None or (made, type(made)) == (expected, type(expected))


class Pieces(Script[Any]):
    """Each event is a piece of one message, which ends with the last."""

    extra = "pieces"
    has_end = False

    def __init__(self, whole: str | None = None) -> None:
        super().__init__()
        self._whole = whole
        self._begun = False

    def read(self, event: Any) -> Iterator[Step]:
        if not self._begun:
            self._begun = True
            yield Begin("text", role="assistant", data={"half \ud83d": ["\ud83d"]})
        yield Grow("text", event)

    def finish(self) -> Iterator[Step]:
        yield Finish("text", self._whole)
        yield Put(role="assistant", text="\ude00 whole", data={"pair": "\ud83d\ude00"})


@pytest.mark.parametrize(
    ("pieces", "whole", "stored"),
    [
        (["a \ud83d", "\ude00 b"], None, "a 😀 b"),
        (["a \ud83d", "\ude00 b"], "a \ud83d\ude00 b", "a 😀 b"),
        (["\ud83d", "", "\ude00"], None, "😀"),
        (["\ud83d", "x"], None, "\ufffdx"),
        (["x\ude00", "y"], None, "x\ufffdy"),
        (["x\ud83d"], None, "x\ufffd"),
        (["x\ud83d"], "x\ud83d\ude00!", "x😀!"),
        (["x\ud83d"], "x\ud83d", "x\ufffd"),
    ],
)
def test_halves_of_characters_are_put_together(
    store: ChatStore, pieces: list[str], whole: str | None, stored: str
) -> None:
    history = store.history("c")
    assert [*start(Pieces(whole), iter(pieces), history, {"strict": True})] == pieces
    grown, put = history.get_messages()
    assert (grown.text, grown.data) == (stored, {"half \ufffd": ["\ufffd"]})
    assert (put.text, put.data) == ("\ufffd whole", {"pair": "😀"})


async def test_a_stream_that_says_nothing_is_stopped_with_its_run(path: Path) -> None:
    """Between two events nothing is written, and the stream would not know."""
    closed = asyncio.Event()

    async def silent() -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with AsyncChatStore(path) as store, AsyncChatStore(path) as other:
        recording = start(Words(), silent(), store.history("c"), {"strict": True})
        assert await anext(recording) == "one"
        waiting = asyncio.ensure_future(anext(recording))
        await other.history("c").cancel_run(recording.run_id)
        with pytest.raises(RunCancelled):
            await asyncio.wait_for(waiting, 30)
        assert closed.is_set()
        assert (await other.history("c").get_run(recording.run_id)).state == "cancelled"


async def test_a_time_limit_of_the_streams_own_is_raised_as_ever(path: Path) -> None:
    async def slow() -> AsyncIterator[str]:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        yield "never"

    async with AsyncChatStore(path) as store:
        recording = start(Words(), slow(), store.history("c"), {"strict": True})
        with pytest.raises(TimeoutError):
            await anext(recording)
        assert (await store.history("c").get_run(recording.run_id)).state == "failed"
