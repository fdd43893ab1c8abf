"""The life of a store: opened, shared, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chatstore import AsyncChatStore, AsyncHistory, Block, BlockDraft, StoreClosed, Tag
from chatstore.testing.conformance.base import Open, Part, fill, indexes, log, rest, soon, take, texts
from chatstore.testing.conformance.submitting import answer


class Lifetime(Part):
    """Opening and closing."""

    async def test_what_is_stored_is_there_when_the_store_is_opened_again(self, another: Open) -> None:
        store = await another()
        blocks = await store.history("c").append([BlockDraft(text=text) for text in "abc"])
        await store.close()
        again = (await another()).history("c")
        assert await again.get_messages() == blocks
        assert await again.head() == blocks[-1].cursor
        assert (await again.append_user_message("d")).index == 3

    async def test_two_store_objects_share_their_histories(self, another: Open) -> None:
        one, two = (await another()).history("c"), (await another()).history("c")
        for place in range(10):
            block = await (one, two)[place % 2].append_user_message(str(place))
            assert block.index == place
            assert await one.get_messages() == await two.get_messages()
            assert await one.head() == await two.head() == block.cursor

    async def test_closing_one_store_object_leaves_the_other_open(self, another: Open) -> None:
        one, two = await another(), await another()
        history = two.history("c")
        subscription = history.subscribe(after="now")
        await one.history("c").append_user_message("x")
        await one.close()
        ending = asyncio.ensure_future(anext(subscription))
        while not ending.done():
            await history.append_user_message("y")
        assert texts([await ending]) == ["y"]
        await subscription.close()

    async def test_close_is_idempotent(self, another: Open) -> None:
        store = await another()
        await fill(store.history("c"), 1)
        await store.close()
        await store.close()

    async def test_every_use_after_close_is_refused(self, another: Open) -> None:
        store = await another()
        history = store.history("c")
        block = await history.append_user_message("x")
        await store.close()
        for use in _uses(store, history, block):
            with pytest.raises(StoreClosed):
                await soon(use())
        again = (await another()).history("c")
        assert await again.get_messages() == [block]

    async def test_what_is_open_ends_in_order_as_the_store_closes(self, another: Open) -> None:
        """Blocks as they were opened, then runs, those that are part of others first."""
        store = await another()
        history = store.history("c")
        runs = [history.run(), history.run()]
        started = [(await run.__aenter__()).id for run in runs]
        blocks = [await history.open_message() for _ in range(9)]
        await soon(store.close())
        *_, last, first = ends = (await log((await another()).history("c")))[-len(blocks) - 2 :]
        assert indexes(ends[:-2]) == [*range(len(blocks))]
        assert [first.run_id, last.run_id] == started

    async def test_closing_while_others_write_loses_nothing_that_was_acknowledged(self, another: Open) -> None:
        store = await another()
        history = store.history("c")
        acknowledged = []

        async def write() -> None:
            while True:
                acknowledged.append(await history.append_user_message("x"))

        await fill(history, 1)
        writers = [asyncio.ensure_future(write()) for _ in range(4)]
        await take(history.subscribe(), 20)
        await soon(store.close())
        answers = await soon(asyncio.gather(*writers, return_exceptions=True))
        assert [type(answer) for answer in answers] == [StoreClosed] * 4
        stored = await (await another()).history("c").get_messages()
        assert {block.id for block in acknowledged} <= {block.id for block in stored}
        assert [block.index for block in stored] == list(range(len(stored)))


def _uses(store: AsyncChatStore, history: AsyncHistory, block: Block) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: history.append_user_message("y"),
        lambda: history.append([]),
        lambda: history.tag(block, Tag(kind="k", name="n")),
        lambda: history.set_usage(block, {}),
        lambda: history.tag_context(Tag(kind="k", name="n")),
        lambda: history.get_messages(),
        lambda: history.since_last_user_message(),
        lambda: history.get_block(block.id),
        lambda: history.count(),
        lambda: history.head(),
        lambda: rest(history.subscribe()),
        lambda: store.contexts(),
        lambda: store.read_bytes("00" * 32),
        lambda: history.open_message(),
        lambda: history.append_assistant_message(iter(["y"])),
        lambda: history.run().__aenter__(),
        lambda: history.runs(),
        lambda: history.get_run("r"),
        lambda: history.cancel_run("r"),
        lambda: history.read_block(block),
        lambda: store.submit(answer, "y"),
        lambda: store.compact(),
        lambda: rest(store.subscribe()),
    ]
