"""How open blocks end: closed, failed, cancelled, interrupted; once, and with their text."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from chatstore import (
    AsyncBlockWriter,
    AsyncHistory,
    Block,
    BlockClosed,
    BlockEnded,
    InvalidData,
    InvalidInput,
    StoreClosed,
)
from chatstore.testing.conformance.base import Open, Part, log, rest, soon


class Endings(Part):
    """`close`, `fail`, `cancel`, leaving the `with`, and stores that go away."""

    @pytest.mark.parametrize("state", ["closed", "failed", "cancelled"])
    async def test_the_end_stores_the_whole_text_and_says_how_it_ended(self, history: AsyncHistory, state: str) -> None:
        block = await history.open_message()
        await block.write("stored, ")
        await soon(block.flush())
        await block.write("and waiting")
        ended = await soon(_end(block, state))
        assert (ended.text, ended.state, ended.usage) == ("stored, and waiting", state, None)
        assert state == "failed" or ended.data is None
        assert await history.get_messages() == [ended]
        *_, last = await log(history)
        assert isinstance(last, BlockClosed)
        assert last.block == ended

    async def test_close_sets_data_and_usage(self, history: AsyncHistory) -> None:
        block = await history.open_message(data={"sources": []}, usage={"tokens": 1})
        closed = await block.close(data={"sources": ["a"], "more": [None]}, usage={"tokens": 9})
        assert (closed.data, closed.usage) == ({"sources": ["a"], "more": [None]}, {"tokens": 9})
        async with history.open_message(data={"sources": []}, usage={"tokens": 1}):
            pass
        (_, kept) = await history.get_messages()
        assert (kept.data, kept.usage) == ({"sources": []}, {"tokens": 1})

    @pytest.mark.parametrize(
        ("text", "arguments"),
        [
            ('{"city": "Paris", "days": [1, 2.5, null]}', {"city": "Paris", "days": [1, 2.5, None]}),
            ("[1]", [1]),
            ('{"city": "Par', None),
            ("", None),
            ('{"n": NaN}', None),
            ('{"n": 99999999999999999999}', None),
        ],
    )
    async def test_the_arguments_of_a_function_call_are_parsed_at_its_end(
        self, history: AsyncHistory, text: str, arguments: Any
    ) -> None:
        async with history.open_block("function_call", role="assistant", data={"name": "f", "call_id": "c"}) as call:
            for letter in text:
                await call.write(letter)
        (stored,) = await history.get_messages(kind="trace")
        assert stored.text == text
        assert stored.data == {"name": "f", "call_id": "c", "arguments": arguments}
        result = await history.append_function_result("done", call=stored)
        assert result.data == {"call_id": "c", "name": "f", "is_error": False}

    @pytest.mark.parametrize("error", [ValueError("no \ud800 such"), "no such"], ids=["exception", "text"])
    async def test_a_failed_block_keeps_type_and_message_of_the_error(
        self, history: AsyncHistory, error: BaseException | str
    ) -> None:
        block = await history.open_message(data={"own": 1})
        await block.write("so far")
        failed = await block.fail(error)
        kind, message = ("Error", "no such") if isinstance(error, str) else ("ValueError", "no \\ud800 such")
        assert failed.data == {"own": 1, "error": {"type": kind, "message": message}}
        assert (failed.text, failed.state) == ("so far", "failed")

    async def test_an_exception_fails_the_block_and_goes_on_to_the_caller(self, history: AsyncHistory) -> None:
        with pytest.raises(LookupError, match="gone"):
            async with history.open_message() as block:
                await block.write("so far")
                raise LookupError("gone")
        (failed,) = await history.get_messages()
        assert (failed.text, failed.state) == ("so far", "failed")
        assert failed.data == {"error": {"type": "LookupError", "message": "gone"}}
        assert "Traceback" not in failed.model_dump_json()

    async def test_a_cancelled_task_leaves_its_block_cancelled_with_its_text(self, history: AsyncHistory) -> None:
        written = asyncio.Event()

        async def write() -> None:
            async with history.open_message() as block:
                await block.write("so far")
                written.set()
                await asyncio.Event().wait()

        writing = asyncio.ensure_future(write())
        await soon(written.wait())
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(writing)
        async with history.subscribe() as subscription:
            while not isinstance(change := await soon(anext(subscription)), BlockClosed):
                pass
        assert (change.block.text, change.block.state) == ("so far", "cancelled")

    @pytest.mark.parametrize("state", ["closed", "failed", "cancelled"])
    async def test_a_block_ends_once_and_takes_no_text_afterwards(self, history: AsyncHistory, state: str) -> None:
        block = await history.open_message()
        await block.write("text")
        ended = await _end(block, state)
        for refused in (
            lambda: block.write("more"),
            lambda: block.close(),
            lambda: block.fail("again"),
            lambda: block.cancel(),
        ):
            with pytest.raises(BlockEnded):
                await soon(refused())
        assert await history.get_messages() == [ended]
        assert len([change for change in await log(history) if isinstance(change, BlockClosed)]) == 1

    async def test_a_block_ended_inside_its_with_block_stays_as_it_ended(self, history: AsyncHistory) -> None:
        with pytest.raises(LookupError):
            async with history.open_message() as block:
                await block.write("text")
                ended = await block.cancel()
                raise LookupError
        assert await history.get_messages() == [ended]

    async def test_an_end_that_is_refused_leaves_the_block_open(self, history: AsyncHistory) -> None:
        block = await history.open_message()
        await block.write("text")
        refused: list[tuple[dict[str, Any], type[InvalidInput]]] = [
            ({"data": object()}, InvalidData),
            ({"data": float("nan")}, InvalidData),
            ({"usage": {"n": float("inf")}}, InvalidData),
            ({"usage": 5}, InvalidInput),
        ]
        for wrong, error in refused:
            with pytest.raises(error):
                await block.close(**wrong)
        await block.write(" goes on")
        assert (await block.close()).text == "text goes on"

    async def test_a_store_that_closes_ends_its_open_blocks_and_runs_as_interrupted(self, another: Open) -> None:
        store = await another()
        history = store.history("c")
        run = await history.run().__aenter__()
        block, stray = await history.open_message(), await store.history("d").open_message()
        for opened in (block, stray):
            await opened.write("acknowledged")
            await soon(opened.flush())
        await soon(store.close())
        with pytest.raises(StoreClosed):
            await soon(block.close())
        again = await another()
        for name in "cd":
            (left,) = await again.history(name).get_messages()
            assert (left.text, left.state) == ("acknowledged", "interrupted")
        assert (await again.history("c").get_run(run.id)).state == "interrupted"
        assert len(await rest(again.history("c").subscribe(run=run.id))) > 0

    async def test_a_block_whose_writer_was_dropped_ends_as_interrupted(self, history: AsyncHistory) -> None:
        async with history.subscribe() as subscription:
            block = await history.open_message()
            await block.write("so far")
            await soon(block.flush())
            del block
            gc.collect()
            while not isinstance(change := await soon(anext(subscription)), BlockClosed):
                pass
        assert (change.block.text, change.block.state) == ("so far", "interrupted")


async def _end(block: AsyncBlockWriter, state: str) -> Block:
    if state == "closed":
        return await block.close()
    return await (block.fail("it broke") if state == "failed" else block.cancel())
