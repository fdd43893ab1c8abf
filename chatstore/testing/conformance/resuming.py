"""Resuming: at the cursor of the last change handled, under any filter, nothing is missed or repeated."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatstore import AsyncChatStore, AsyncHistory, BlockDraft, Change, Tag
from chatstore.testing.conformance import oracle
from chatstore.testing.conformance.base import Open, Part, block_of, examples, fill, log, rest, soon, take, texts

_names = count()


class Resuming(Part):
    """Cursors of changes, of blocks and of subscriptions, as places to go on from."""

    async def test_every_change_is_a_place_to_resume_at(self, history: AsyncHistory) -> None:
        blocks = await history.append([BlockDraft(text=str(place)) for place in range(6)])
        for block in blocks[::2]:
            await history.tag(block, Tag(kind="k", name="n"))
        changes = await log(history)
        assert len(changes) == 9
        for place, change in enumerate(changes):
            assert await log(history, after=change.cursor) == changes[place + 1 :]
        for block in blocks:
            assert await log(history, after=block.cursor) == changes[block.index + 1 :]

    @examples
    @given(
        drafts=st.lists(oracle.drafts, max_size=20),
        tagged=st.lists(st.integers(0, 19), max_size=6),
        steps=st.lists(st.tuples(oracle.filters, st.integers(0, 5)), max_size=6),
    )
    async def test_the_filter_never_moves_the_cursor(
        self,
        store: AsyncChatStore,
        drafts: list[BlockDraft],
        tagged: list[int],
        steps: list[tuple[dict[str, Any], int]],
    ) -> None:
        history = store.history(f"resumed {next(_names)}")
        blocks = await history.append(drafts)
        for place in tagged:
            if place < len(blocks):
                await history.tag(blocks[place], Tag(kind="late", name="tag"))
        left, cursor = await log(history), None
        for filters, wanted in steps:
            subscription = history.subscribe(after=cursor, follow=False, **filters)
            seen = [change async for _, change in _first(wanted, subscription)]
            await subscription.close()
            assert seen == [change for change in left if oracle.selected([block_of(change)], filters)][:wanted]
            if seen:
                left = left[left.index(seen[-1]) + 1 :]
                cursor = seen[-1].cursor

    async def test_a_subscription_knows_where_to_resume_behind_what_its_filter_left_out(
        self, history: AsyncHistory
    ) -> None:
        await fill(history, 4)
        async with history.subscribe(roles=["nobody"], follow=False) as subscription:
            assert await rest(subscription) == []
        assert subscription.cursor == await history.head()

    async def test_a_subscription_knows_the_last_change_it_gave_out(self, history: AsyncHistory) -> None:
        await fill(history, 4)
        async with history.subscribe() as subscription:
            for _ in range(4):
                (change,) = await take(subscription, 1)
                assert subscription.cursor == change.cursor

    async def test_stopping_and_resuming_while_others_write_sees_all_once(
        self, history: AsyncHistory, another: Open
    ) -> None:
        twin = (await another()).history(history.context_id)

        async def write() -> None:
            for place in range(300):
                await (history, twin)[place % 2].append_user_message(str(place))

        writing = asyncio.ensure_future(write())
        seen: list[Change] = []
        while len(seen) < 300:
            after = seen[-1].cursor if seen else None
            async with (twin, history)[len(seen) % 2].subscribe(after=after) as subscription:
                seen += await take(subscription, min(7, 300 - len(seen)))
        await soon(writing)
        assert texts(seen) == [str(place) for place in range(300)]

    async def test_a_cursor_had_before_the_context_existed_resumes_at_its_beginning(
        self, history: AsyncHistory
    ) -> None:
        start = await history.head()
        await fill(history, 3)
        assert texts(await log(history, after=start)) == ["0", "1", "2"]

    async def test_a_cursor_outlives_the_store_object(self, another: Open) -> None:
        store = await another()
        await fill(store.history("c"), 3)
        cursor = (await store.history("c").get_messages())[0].cursor
        await store.close()
        again = (await another()).history("c")
        assert texts(await log(again, after=cursor)) == ["1", "2"]


async def _first(wanted: int, subscription: Any) -> Any:
    for place in range(wanted):
        try:
            yield place, await soon(anext(subscription))
        except StopAsyncIteration:
            return
