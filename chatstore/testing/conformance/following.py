"""Following: a subscription catches up, then waits for what comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from chatstore import AsyncChatStore, AsyncHistory, BlockAdded, BlockDraft, BlockUpdated, Tag
from chatstore.testing.conformance import oracle
from chatstore.testing.conformance.base import Open, Part, block_of, fill, indexes, log, rest, soon, take, texts

MANY = 1_500
"""More changes than any page or window holds."""

FILTERS: list[dict[str, Any]] = [
    {},
    {"kind": "transcript"},
    {"kind": "prompt"},
    {"types": ["status", "error"]},
    {"roles": ["tool"], "kind": "prompt"},
    {"authors": ["agent"]},
    {"tags": [("topic", "a")]},
    {"run": "r1"},
]


class Following(Part):
    """What a subscription gives while others write, and what ends it."""

    async def test_it_gives_server_sent_events_and_signs_of_life(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("line\n\nline 💬")
        async with history.subscribe() as subscription:
            events = subscription.sse(heartbeat=0.01)
            first = await soon(anext(events))
            while b"\nevent: heartbeat\n" in first:  # the change was on its way for longer
                first = await soon(anext(events))
            second = await soon(anext(events))
        names = [line.partition(": ") for line in first.decode().removesuffix("\n\n").split("\n")]
        assert [name for name, _, _ in names] == ["id", "event", "data"]
        assert [value for _, _, value in names][:2] == [block.cursor, "block_added"]
        assert json.loads(names[2][2])["block"]["text"] == block.text
        assert second.decode() == f"id: {block.cursor}\nevent: heartbeat\ndata: \n\n"

    async def test_it_gives_what_is_there_and_then_what_comes(self, history: AsyncHistory) -> None:
        await fill(history, 3)
        async with history.subscribe() as subscription:
            seen = await take(subscription, 3)
            coming = asyncio.ensure_future(take(subscription, 2))
            await history.append_user_message("3")
            await history.append_user_message("4")
            seen += await soon(coming)
        assert texts(seen) == ["0", "1", "2", "3", "4"]
        assert all(isinstance(change, BlockAdded) for change in seen)
        assert [*map(block_of, seen)] == await history.get_messages()

    async def test_a_change_says_what_it_is_about(self, history: AsyncHistory) -> None:
        block = await history.append(BlockDraft(type="status", role="tool", author="a", run_id="r", text="x"))
        (change,) = await log(history)
        assert isinstance(change, BlockAdded)
        assert change.block == block
        assert (change.block_id, change.index, change.type) == (block.id, 0, "status")
        assert (change.role, change.author, change.run_id) == ("tool", "a", "r")
        assert (change.context_id, change.cursor) == (history.context_id, block.cursor)

    async def test_without_follow_it_ends_when_caught_up(self, history: AsyncHistory) -> None:
        assert await log(history) == []
        await fill(history, MANY)
        assert texts(await log(history)) == [str(place) for place in range(MANY)]

    async def test_a_timeout_ends_it_after_that_long_without_a_change(self, history: AsyncHistory) -> None:
        await fill(history, 2)
        assert texts(await rest(history.subscribe(timeout=0.05))) == ["0", "1"]
        assert texts(await rest(history.subscribe(timeout=0))) == ["0", "1"]
        assert await rest(history.subscribe(after="now", timeout=0.05)) == []

    async def test_what_the_filter_leaves_out_does_not_keep_it_from_its_timeout(self, history: AsyncHistory) -> None:
        async with history.subscribe(roles=["nobody"], timeout=0.1) as subscription:
            ending = asyncio.ensure_future(rest(subscription))
            while not ending.done():
                await history.append_user_message("x")
        assert await ending == []

    async def test_from_now_it_gives_only_what_comes_after_it_began(self, history: AsyncHistory) -> None:
        await fill(history, 3)
        async with history.subscribe(after="now") as subscription:
            await history.append_user_message("new")
            assert texts(await take(subscription, 1)) == ["new"]

    async def test_it_waits_for_a_context_that_does_not_exist(self, store: AsyncChatStore) -> None:
        histories = [store.history("later"), store.history({"user": "later"})]
        for history in histories:
            for after in (None, "now", await history.head()):
                async with store.history(history.context_id).subscribe(after=after) as subscription:
                    coming = asyncio.ensure_future(take(subscription, 1))
                    await history.append_user_message("first")
                    assert texts(await soon(coming)) == ["first"]
                break

    async def test_from_now_of_a_context_that_does_not_exist_it_gives_all(self, history: AsyncHistory) -> None:
        async with history.subscribe(after="now") as subscription:
            await fill(history, 3)
            assert texts(await take(subscription, 3)) == ["0", "1", "2"]

    async def test_another_context_is_followed_by_its_id(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        await store.history("other").append_user_message("theirs")
        await history.append_user_message("mine")
        assert texts(await rest(history.subscribe("other", follow=False))) == ["theirs"]

    async def test_it_sees_what_another_store_object_writes(self, history: AsyncHistory, another: Open) -> None:
        twin = (await another()).history(history.context_id)
        async with history.subscribe() as here, twin.subscribe() as there:
            both = asyncio.ensure_future(asyncio.gather(take(here, 40), take(there, 40)))
            for place in range(20):
                await asyncio.gather(history.append_user_message(str(place)), twin.append_user_message(str(place)))
            seen, seen_there = await soon(both)
        assert seen == seen_there
        assert indexes(seen) == list(range(40))

    async def test_one_who_never_reads_keeps_no_writer_waiting_and_misses_nothing(self, history: AsyncHistory) -> None:
        async with history.subscribe() as idle, history.subscribe() as slow:
            await history.append_user_message("first")
            assert texts(await take(slow, 1)) == ["first"]
            for _ in range(MANY // 100):
                await soon(fill(history, 100))
            assert indexes(await take(slow, MANY)) == list(range(1, MANY + 1))
            assert indexes(await take(idle, MANY + 1)) == list(range(MANY + 1))

    async def test_one_who_waits_gets_bursts_of_any_size_once_and_in_order(self, history: AsyncHistory) -> None:
        async with history.subscribe() as subscription:
            for burst in (1, 255, 256, 257, 511, 512, 513, 1, MANY):
                coming = asyncio.ensure_future(take(subscription, burst))
                await fill(history, burst)
                assert texts(await soon(coming)) == [str(place) for place in range(burst)]

    async def test_many_filters_see_their_part_while_many_write(self, history: AsyncHistory) -> None:
        authors = [[_varied(writer, place) for place in range(120)] for writer in range(3)]
        drafts = [draft for written in authors for draft in written]

        async def follow(filters: dict[str, Any]) -> list[Any]:
            async with history.subscribe(**filters) as subscription:
                return await take(subscription, len(oracle.selected(drafts, filters)))  # type: ignore[arg-type]

        async def write(written: list[BlockDraft]) -> None:
            for draft in written:
                await history.append(draft)

        seen, *_ = await soon(
            asyncio.gather(asyncio.gather(*map(follow, FILTERS)), *(write(written) for written in authors))
        )
        blocks = await history.get_messages()
        for filters, changes in zip(FILTERS, seen, strict=True):
            assert [*map(block_of, changes)] == oracle.selected(blocks, filters)

    async def test_who_joins_late_sees_blocks_as_they_are_by_now(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("x")
        async with history.subscribe(after="now") as early:
            tagged = await history.tag(block, Tag(kind="k", name="n"))
            (change,) = await take(early, 1)
            assert isinstance(change, BlockUpdated)
            assert block_of(change) == tagged
        late = await log(history)
        assert [type(change) for change in late] == [BlockAdded, BlockUpdated]
        assert [*map(block_of, late)] == [tagged, tagged]

    async def test_a_block_that_comes_to_match_a_filter_is_given_as_updated(self, history: AsyncHistory) -> None:
        async with history.subscribe(tags=[("k", "n")]) as subscription:
            coming = asyncio.ensure_future(take(subscription, 1))
            block = await history.append_user_message("x")
            tagged = await history.tag(block, Tag(kind="k", name="n"))
            (change,) = await soon(coming)
            assert block_of(change) == tagged

    @pytest.mark.parametrize("waiting", [True, False])
    async def test_close_from_another_task_ends_it(self, history: AsyncHistory, waiting: bool) -> None:
        await fill(history, 5)
        subscription = history.subscribe()
        if waiting:
            await take(subscription, 5)
            ending = asyncio.ensure_future(rest(subscription))
            await asyncio.sleep(0)
            await soon(subscription.close())
            assert await soon(ending) == []
        else:
            await take(subscription, 2)
            await soon(subscription.close())
        assert await rest(subscription) == []
        await soon(subscription.close())

    async def test_a_subscription_closed_before_it_began_gives_nothing(self, history: AsyncHistory) -> None:
        await fill(history, 2)
        subscription = history.subscribe()
        await subscription.close()
        assert await rest(subscription) == []

    async def test_leaving_the_with_block_closes_it(self, history: AsyncHistory) -> None:
        await fill(history, 5)
        with pytest.raises(LookupError):
            async with history.subscribe() as subscription:
                await take(subscription, 1)
                raise LookupError
        assert await rest(subscription) == []

    async def test_a_step_that_is_cancelled_loses_nothing(self, history: AsyncHistory) -> None:
        async with history.subscribe() as subscription:
            seen = []
            for place in range(30):
                step = asyncio.ensure_future(anext(subscription))
                for _ in range(place % 5):
                    await asyncio.sleep(0)
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
                if not step.cancelled():
                    seen.append(step.result())
                await history.append_user_message(str(place))
            seen += await take(subscription, 30 - len(seen))
        assert texts(seen) == [str(place) for place in range(30)]

    async def test_closing_the_store_ends_its_subscriptions(self, another: Open) -> None:
        store = await another()
        history = store.history("c")
        await fill(history, 1)
        subscriptions = [history.subscribe(), store.history("absent").subscribe(), history.subscribe(after="now")]
        await take(subscriptions[0], 1)
        endings = [asyncio.ensure_future(rest(subscription)) for subscription in subscriptions]
        for _ in range(3):
            await asyncio.sleep(0)
        unread = history.subscribe()
        await take(unread, 1)
        await soon(store.close())
        assert await soon(asyncio.gather(*endings)) == [[], [], []]
        assert await rest(unread) == []


def _varied(writer: int, place: int) -> BlockDraft:
    return BlockDraft(
        type=oracle.TYPES[place % len(oracle.TYPES)],
        role=oracle.ROLES[(place + writer) % len(oracle.ROLES)],
        author=(None, *oracle.AUTHORS)[writer],
        internal=place % 5 == 0,
        run_id=(None, *oracle.RUNS)[place % 3],
        tags=tuple(Tag(kind=kind, name=name) for kind, name in oracle.TAGS[: place % 3]),
        text=f"{writer}.{place}",
    )
