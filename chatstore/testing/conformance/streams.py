"""Following text that grows: from anywhere, however late, each text comes out right and nothing comes twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import (
    AsyncBlockWriter,
    AsyncChatStore,
    AsyncHistory,
    BlockAdded,
    BlockClosed,
    Change,
    ContextErased,
    Tag,
    TextAppended,
)
from chatstore import collect as collected
from chatstore.testing.conformance.base import Open, Part, Reader, block_of, examples, log, soon, take

_names = count()

# What is done to three blocks and around them, in a random order.
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "write", "end", "tag", "append", "read"]), st.integers(0, 2)),
    max_size=40,
)
FILTERS: list[dict[str, Any]] = [{}, {"authors": ["0", "2"]}, {"types": ["message"]}, {"kind": "transcript"}]


class Streams(Part):
    """Subscriptions, `collect` and `read_block` on blocks that grow."""

    @examples
    @given(steps=STEPS, filters=st.sampled_from(FILTERS), stops=st.lists(st.integers(1, 4), min_size=1, max_size=5))
    async def test_whoever_stops_and_resumes_anywhere_ends_with_the_stored_texts(
        self,
        store: AsyncChatStore,
        steps: list[tuple[str, int]],
        filters: dict[str, Any],
        stops: list[int],
    ) -> None:
        history = store.history(f"streamed {next(_names)}")
        scene = Scene(history)
        early, late, gathered = Reader(), Reader(), list[Change]()
        cursor = None
        for place, (step, name) in enumerate(steps):
            if step != "read":
                await scene.do(step, name)
                continue
            subscription = history.subscribe(after=cursor, follow=False, **filters)
            changes = await _at_most(subscription, stops[place % len(stops)])
            early.see(changes)
            gathered += changes
            cursor = changes[-1].cursor if changes and name else subscription.cursor or cursor
            await subscription.close()
        await scene.end()
        changes = await log(history, after=cursor, **filters)
        early.see(changes)
        late.see(await log(history, **filters))
        stored = await history.get_messages(**filters)
        assert early.texts == late.texts == {block.index: block.text for block in stored}
        assert collected([*gathered, *changes]) == stored

    async def test_every_cursor_of_late_text_is_a_place_to_resume_at(self, history: AsyncHistory) -> None:
        scene = Scene(history)
        for place in range(30):
            await scene.do("write", place % 3)
            if place % 10 == 9:
                await scene.do("append", 0)
        changes = await log(history)
        assert len([change for change in changes if isinstance(change, TextAppended)]) < 15
        texts = {block.index: block.text for block in await history.get_messages()}
        for place in range(len(changes)):
            reader = Reader()
            reader.see(changes[: place + 1])
            reader.see(await log(history, after=changes[place].cursor))
            assert reader.texts == texts
        await scene.end()
        for place in range(len(changes)):
            reader = Reader()
            reader.see(changes[: place + 1])
            reader.see(await log(history, after=changes[place].cursor))
            assert reader.texts == {block.index: block.text for block in await history.get_messages()}

    async def test_who_is_late_gets_the_pieces_of_a_block_as_one(self, history: AsyncHistory) -> None:
        async with history.subscribe() as sleeper:
            block = await history.open_message()
            assert block_of((await take(sleeper, 1))[0]).state == "open"
            for place in range(150):
                await block.write(f"{place} ")
                await soon(block.flush())
            (late,) = [change for change in await log(history) if isinstance(change, TextAppended)]
            assert (late.offset, late.text) == (0, "".join(f"{place} " for place in range(150)))
            await block.close()
            changes = [await soon(anext(sleeper))]
            while not isinstance(changes[-1], BlockClosed):
                changes.append(await soon(anext(sleeper)))
            assert len(changes) < 6
            assert changes[-1].block.text == late.text

    async def test_a_finished_block_is_given_whole_and_without_its_pieces(self, history: AsyncHistory) -> None:
        async with history.open_message() as block:
            for place in range(20):
                await block.write(f"{place} ")
                await soon(block.flush())
        added, closed = await log(history)
        assert isinstance(added, BlockAdded)
        assert isinstance(closed, BlockClosed)
        assert added.block == closed.block == (await history.get_messages())[0]

    async def test_many_follow_while_three_write_and_one_of_them_reconnects(
        self, history: AsyncHistory, another: Open
    ) -> None:
        twin = (await another()).history(history.context_id)

        async def write(name: int) -> None:
            async with (history, twin)[name % 2].open_message(author=str(name)) as block:
                for place in range(60):
                    await block.write(f"{name}.{place} ")
                    if place % 3 == 0:
                        await block.flush()

        async def follow(stop: int) -> Reader:
            reader, ends = Reader(), 0
            while ends < 3:
                async with (history, twin)[stop % 2].subscribe(after=reader.cursor or None) as subscription:
                    for _ in range(stop):
                        change = await soon(anext(subscription))
                        reader.see([change])
                        ends += isinstance(change, BlockClosed)
                        if ends == 3:
                            break
            return reader

        following = asyncio.gather(*map(follow, (1, 2, 5, 10_000)))
        await soon(asyncio.gather(*map(write, range(3))))
        readers = await soon(following)
        stored = {block.index: block.text for block in await history.get_messages()}
        assert [reader.texts for reader in readers] == [stored] * 4

    async def test_what_is_collected_of_an_open_block_is_its_text_so_far(self, history: AsyncHistory) -> None:
        await history.append_user_message("question")
        async with history.open_message() as block:
            await block.write("so ")
            await soon(block.flush())
            await history.tag(block.block, Tag(kind="k", name="n"))
            await block.write("far")
            await soon(block.flush())
            assert collected(await log(history)) == await history.get_messages()
        assert collected(await log(history)) == await history.get_messages()

    async def test_a_reader_gives_the_header_then_the_text_then_the_block(self, history: AsyncHistory) -> None:
        tag = Tag(kind="source", name="page-1")
        async with history.open_message(author="a", tags=[tag], data={"sources": [1]}) as block:
            reader = await history.read_block(block.block)
            assert (reader.block.author, reader.block.tags, reader.block.text) == ("a", (tag,), "")
            assert reader.block.data == {"sources": [1]}
            await block.write("first ")
            pieces = aiter(reader)
            seen = await soon(anext(pieces))
            whole = asyncio.ensure_future(reader.result())
            await block.write("second")
        seen += "".join([piece async for piece in pieces])
        (stored,) = await history.get_messages()
        assert seen == stored.text == "first second"
        assert await soon(whole) == stored

    async def test_a_reader_is_iterated_from_the_start_as_often_as_one_likes(self, history: AsyncHistory) -> None:
        block = await history.open_message()
        await history.append_user_message("beside it")
        reader = await history.read_block(block.block.id)
        both = [asyncio.ensure_future(_whole(reader)) for _ in range(2)]
        for place in range(20):
            await block.write(f"{place} ")
            await soon(block.flush())
        closed = await block.close()
        assert await soon(asyncio.gather(*both)) == [closed.text] * 2
        assert await soon(_whole(reader)) == await soon(_whole(await history.read_block(closed))) == closed.text
        assert await reader.result() == closed

    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    async def test_a_reader_ends_with_its_block_however_that_ends(self, history: AsyncHistory, state: str) -> None:
        block = await history.open_message()
        reader = await history.read_block(block.block)
        reading = asyncio.ensure_future(_whole(reader))
        await block.write("so far")
        await (block.cancel() if state == "cancelled" else block.fail("it broke"))
        assert await soon(reading) == "so far"
        assert (await reader.result()).state == state

    async def test_a_reader_says_that_its_context_was_erased(self, history: AsyncHistory) -> None:
        block = await history.open_message()
        reader = await history.read_block(block.block)
        reading = asyncio.ensure_future(_whole(reader)), asyncio.ensure_future(reader.result())
        await block.write("so far")
        await soon(block.flush())
        await history.erase()
        for one in reading:
            with pytest.raises(ContextErased):
                await soon(one)
        with suppress(ContextErased):
            await soon(block.close())

    async def test_a_reader_of_a_block_that_was_never_open_gives_it_whole(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("whole")
        reader = await history.read_block(block)
        assert await soon(_whole(reader)) == "whole"
        assert await soon(reader.result()) == block


class Scene:
    """Three blocks of a history that grow by turns."""

    def __init__(self, history: AsyncHistory) -> None:
        self._history = history
        self._open: dict[int, AsyncBlockWriter] = {}
        self._written = count()

    async def do(self, step: str, name: int) -> None:
        if step == "append":
            await self._history.append_status_message("beside")
            return
        block = self._open.get(name)
        if block is None:
            type = ("message", "reasoning", "message")[name]
            block = self._open[name] = await self._history.open_block(type, role="assistant", author=str(name))
        if step == "end":
            await (block.close() if next(self._written) % 2 else block.cancel())
            del self._open[name]
        elif step == "tag":
            await self._history.tag(block.block, Tag(kind="k", name=str(next(self._written))))
        else:
            await block.write(f"{name}.{next(self._written)} ")
            await soon(block.flush())

    async def end(self) -> None:
        for name in [*self._open]:
            await self.do("end", name)


async def _at_most(subscription: Any, wanted: int) -> list[Change]:
    changes: list[Change] = []
    while len(changes) < wanted:
        try:
            changes.append(await soon(anext(subscription)))
        except StopAsyncIteration:
            break
    return changes


async def _whole(reader: Any) -> str:
    return "".join([piece async for piece in reader])
