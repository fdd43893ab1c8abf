"""Compaction: the pieces of finished blocks go, and nobody can tell."""

from __future__ import annotations

import asyncio

import pytest

from chatstore import AsyncBlockWriter, AsyncChatStore, AsyncHistory, Change, InvalidInput
from chatstore.testing.conformance.base import Part, Reader, log, soon


async def grow(block: AsyncBlockWriter, count: int) -> None:
    """Writes so many pieces that are all entries of the log."""
    for place in range(count):
        await block.write(f"{place} ")
        await soon(block.flush())


class Compacting(Part):
    """`store.compact`."""

    async def test_every_cursor_ever_seen_goes_on_as_before(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        open_one, seen = await history.open_message(), list[Change]()
        async with history.subscribe() as live:
            async with history.open_message() as one, history.open_block("reasoning") as two:
                for _ in range(10):
                    await asyncio.gather(*(grow(block, 1) for block in (one, two, open_one)))
                    await history.append_status_message("beside")
                seen += await log(history)
                seen += await log(history, after=seen[len(seen) // 2].cursor)
            head = await history.head()
            while not seen or seen[-1].cursor < head:
                seen.append(await soon(anext(live)))
        cursors = sorted({change.cursor for change in seen})
        before = [await log(history, after=cursor) for cursor in (None, *cursors)]
        blocks = await history.get_messages()
        assert await store.compact() == 20
        assert [await log(history, after=cursor) for cursor in (None, *cursors)] == before
        assert await history.get_messages() == blocks
        assert await store.compact() == 0
        await open_one.close()
        assert await store.compact() == 10

    async def test_only_what_ended_long_enough_ago_is_compacted(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        async with history.open_message() as block:
            await grow(block, 3)
            assert await store.compact() == 0
        assert await store.compact(older_than=3600) == 0
        assert await store.compact(older_than=0) == 3

    @pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", None, True])
    async def test_a_time_that_is_none_is_refused(self, store: AsyncChatStore, wrong: object) -> None:
        with pytest.raises(InvalidInput):
            await store.compact(older_than=wrong)  # type: ignore[arg-type]

    async def test_more_than_one_step_is_taken(self, store: AsyncChatStore) -> None:
        async def write(name: int) -> None:
            async with store.history(str(name)).open_message() as block:
                await grow(block, 35)

        await soon(asyncio.gather(*map(write, range(20))))
        assert await store.compact() == 700
        assert await store.compact() == 0

    async def test_a_reader_in_the_middle_goes_on_over_it(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        async with history.subscribe() as live, history.subscribe() as sleeper:
            readers = [(live, Reader()), (sleeper, Reader())]
            block = await history.open_message()
            for subscription, reader in readers:
                reader.see([await soon(anext(subscription))])
            for _ in range(5):
                await grow(block, 10)
                readers[0][1].see([await soon(anext(live))])
            closed = await block.close()
            assert await store.compact() == 50
            for subscription, reader in readers:
                while not reader.ended:
                    reader.see([await soon(anext(subscription))])
                assert reader.texts == {0: closed.text}

    async def test_whoever_follows_while_it_happens_sees_every_text(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        writing = True

        async def write(name: int) -> None:
            for _ in range(4):
                async with history.open_message(author=str(name)) as block:
                    await grow(block, 8)

        async def compact() -> int:
            removed = 0
            while writing:
                removed += await store.compact()
            return removed + await store.compact()

        following, compacting = asyncio.ensure_future(follow(history, 12)), asyncio.ensure_future(compact())
        await soon(asyncio.gather(*map(write, range(3))))
        writing = False
        assert await soon(compacting) == 96
        stored = {block.index: block.text for block in await history.get_messages()}
        assert (await soon(following)).texts == stored


async def follow(history: AsyncHistory, blocks: int) -> Reader:
    """What a reader has that reconnects after every third change, once so many blocks have ended."""
    reader = Reader()
    while len(reader.ended) < blocks:
        async with history.subscribe(after=reader.cursor or None) as subscription:
            for _ in range(3):
                reader.see([await soon(anext(subscription))])
                if len(reader.ended) == blocks:
                    break
    return reader
