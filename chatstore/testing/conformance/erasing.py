"""Erasing and retention: what is removed is gone for everybody, and everybody is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    BlobNotFound,
    BlockDraft,
    BlocksRemoved,
    ContextErased,
    CursorExpired,
    HistoryErased,
    InvalidInput,
    KeyConflict,
    Retain,
    RunNotFound,
    Tag,
)
from chatstore import Part as BlockPart
from chatstore.testing.conformance.base import Open, Part, block_of, indexes, log, rest, soon, texts


class Erasing(Part):
    """`history.erase`."""

    async def test_nothing_is_read_or_written_any_more(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        first = await history.append_user_message("text", key="k", tags=[Tag(kind="k", name="n")])
        async with history.run() as run:
            await history.append_status_message("in a run")
        await history.erase()
        for refused in (
            history.append_user_message("late"),
            history.append_user_message("text", key="k"),
            history.get_messages(),
            history.get_block(first.id),
            history.count(),
            history.head(),
            history.tag(first, Tag(kind="k", name="m")),
            history.tag_context(Tag(kind="k", name="m")),
            soon(history.open_message()),
        ):
            with pytest.raises(ContextErased, match="choose another context id"):
                await refused
        with pytest.raises((RunNotFound, ContextErased)):
            await history.get_run(run.id)
        assert await store.contexts() == []

    async def test_subscriptions_end_with_the_last_change(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        block = await history.append_user_message("text")
        ends: list[HistoryErased] = []

        async def follow(kind: str) -> None:
            async for change in history.subscribe(after="now", kind=kind, timeout=20):
                assert isinstance(change, HistoryErased)
                ends.append(change)

        async with history.subscribe(after="now") as waiting:
            tasks = [asyncio.ensure_future(follow(kind)) for kind in ("transcript", "prompt", "trace")]
            await history.append(BlockDraft(type="note", text="it is followed from here on"))
            assert (await soon(anext(waiting))).run_id is None
            await history.erase()
            await soon(asyncio.gather(*tasks, return_exceptions=True))
            ends += [change async for change in waiting if isinstance(change, HistoryErased)]
        assert {(end.context_id, end.cursor > block.cursor) for end in ends} == {(history.context_id, True)}
        for after in (None, block.cursor):
            [end] = await log(history, after=after)
            assert isinstance(end, HistoryErased)
            assert await log(history, after=end.cursor) == []

    async def test_a_store_is_told_by_a_digest_of_the_name(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        await history.append_user_message("text")
        await history.erase()
        [end] = [change async for change in store.subscribe(follow=False)]
        assert isinstance(end, HistoryErased)
        assert end.concerns(history.context_id) and not end.concerns("another")
        assert history.context_id not in end.model_dump_json()

    async def test_writers_of_open_blocks_are_refused(self, history: AsyncHistory) -> None:
        block = await history.open_message()
        await block.write("text")
        await soon(block.flush())
        await history.erase()
        with pytest.raises(ContextErased):
            await block.write("more")
            await soon(block.flush())
        with pytest.raises(ContextErased):
            await soon(block.close())

    @pytest.mark.parametrize("in_a_run", [False, True])
    async def test_writers_of_ended_blocks_are_refused_so_too(self, history: AsyncHistory, in_a_run: bool) -> None:
        if in_a_run:
            async with history.run():
                block = await history.open_message()
                await soon(block.close())
        else:
            block = await history.open_message()
            await soon(block.close())
        await history.erase()
        with pytest.raises(ContextErased):
            await soon(block.close())

    async def test_bytes_that_another_context_has_too_stay_there(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        other = store.history("other")
        shared, own = (BlockPart(type="file", content=content) for content in (b"shared", b"own"))
        mine = await history.append_user_message("", parts=[shared, own])
        theirs = await other.append_user_message("", parts=[shared])
        await history.erase()
        assert await store.read_bytes(theirs.parts[0]) == b"shared"
        with pytest.raises(BlobNotFound):
            await store.read_bytes(mine.parts[1])

    async def test_many_blocks_go_in_many_steps_and_others_stay(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        await store.history("other").append_user_message("stays")
        await history.append([BlockDraft(text=str(number)) for number in range(1_700)])
        await history.erase()
        assert [block.text for block in await store.history("other").get_messages()] == ["stays"]
        changes = [change async for change in store.subscribe(follow=False)]
        assert [type(change).__name__ for change in changes] == ["BlockAdded", "HistoryErased"]

    async def test_erasing_again_or_what_never_was_does_nothing(self, store: AsyncChatStore) -> None:
        await store.history("never").erase()
        await store.history("never").append_user_message("it can still be used")
        for _ in range(2):
            await store.history("never").erase()
        assert len([change async for change in store.subscribe(follow=False)]) == 1

    async def test_other_contexts_stay_as_they_are(self, store: AsyncChatStore) -> None:
        kept, gone = (store.history({"user": name}) for name in ("kept", "gone"))
        for history in (kept, gone):
            async with history.run():
                content = BlockPart(type="file", mime_type="text/plain", content=b"of both")
                await history.append_user_message("x", key="k", tags=[Tag(kind="k", name="n")], parts=[content])

        async def shown() -> tuple[object, ...]:
            found = await kept.get_messages(tags=[("k", "n")])
            return found, await kept.runs(), await store.contexts(keys={"user": "kept"}), await log(kept)

        open_one = await kept.open_message()
        before = await shown()
        await gone.erase()
        assert await shown() == before
        await open_one.close()


class Retaining(Part):
    """`retain=` and `store.prune`."""

    async def test_the_newest_blocks_are_kept(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=10))
        history = store.history("a")
        blocks = await history.append([BlockDraft(text=str(number)) for number in range(25)])
        tail = history.subscribe(after=blocks[-1].cursor)
        assert await store.prune() == 15
        assert await store.prune() == 0
        assert await history.get_messages() == blocks[15:]
        assert await history.count() == 10
        assert indexes(await log(history)) == list(range(15, 25))
        assert (await history.append_user_message("next")).index == 25
        async with tail:
            assert block_of(await soon(anext(tail))).index == 25

    async def test_a_cursor_from_before_says_where_to_go_on(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=3))
        history = store.history("a")
        blocks = await history.append([BlockDraft(text=str(number)) for number in range(9)])
        await store.prune()
        for refused in (log(history, after=blocks[0].cursor), history.get_messages(after=blocks[0].cursor)):
            with pytest.raises(CursorExpired) as expired:
                await refused
            assert indexes(await log(history, after=expired.value.start)) == [6, 7, 8]
        assert [block.index for block in await history.get_messages(after=blocks[6].cursor)] == [7, 8]
        assert len([change async for change in store.subscribe(follow=False)]) == 3

    async def test_a_cursor_of_the_store_from_before_says_where_to_go_on(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=2))
        history = store.history("a")
        first = await history.append_user_message("goes")
        async with store.subscribe(follow=False) as early:
            await soon(anext(early))
        await history.append([BlockDraft(text="goes too"), BlockDraft(text="stays"), BlockDraft(text="stays")])
        await history.tag(first, Tag(kind="k", name="n"))  # an entry of the log that stays behind its block
        assert await store.prune() == 2
        with pytest.raises(CursorExpired) as expired:
            await rest(store.subscribe(after=early.cursor, follow=False))
        for start in (expired.value.start, None):
            assert texts(await rest(store.subscribe(after=start, follow=False))) == ["stays", "stays"]

    async def test_open_blocks_and_what_follows_them_are_kept(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=0))
        history = store.history("a")
        await history.append_user_message("goes")
        block = await history.open_message()
        await history.append_user_message("stays as long")
        assert await store.prune() == 1
        await block.close()
        assert await store.prune() == 2
        assert await history.get_messages() == []
        assert (await history.append_user_message("and goes on")).index == 3

    async def test_a_run_is_kept_while_it_goes_on_and_as_long_as_it_has_blocks(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=2))
        history = store.history("a")
        async with history.run() as over:
            await history.append_user_message("goes")
        going_on = history.run()
        await asyncio.create_task(going_on.__aenter__())  # in a task of its own: what follows is none of it
        async with history.run() as kept:
            await history.append([BlockDraft(), BlockDraft()])
        assert await store.prune() == 1
        assert [(run.id, run.state) for run in await history.runs()] == [
            (going_on.id, "running"),
            (kept.id, "completed"),
        ]
        with pytest.raises(RunNotFound):
            await history.get_run(over.id)
        assert (await history.cancel_run(going_on.id)).state == "cancelled"

    async def test_days(self, another: Open) -> None:
        store = await another(retain=Retain(days=1))
        history = store.history("a")
        await history.append_user_message("of today")
        assert await store.prune() == 0
        await store.close()
        store = await another(retain=Retain(days=0))
        assert await store.prune() == 1
        assert await store.history("a").count() == 0

    async def test_without_a_policy_everything_is_kept(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        await history.append_user_message("stays")
        assert await store.prune() == 0

    async def test_a_retry_of_what_was_removed_is_told_so_and_stores_nothing(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=5))
        history = store.history("a")
        drafts = [BlockDraft(text=str(number)) for number in range(8)]
        await history.append(drafts, key="k")
        for kept in (5, 0):  # some of them are there, then none
            await store.prune()
            for _ in range(2):
                with pytest.raises(BlocksRemoved, match="blocks 0 to 7") as removed:
                    await history.append(drafts, key="k")
                assert (removed.value.first_index, removed.value.count) == (0, 8)
                with pytest.raises(KeyConflict):
                    await history.append([BlockDraft(text="other")], key="k")
            texts = [block.text for block in await history.get_messages()]
            assert texts == ([str(number) for number in range(3, 8)] if kept else ["new"] * 5)
            if kept:
                later = await history.append([BlockDraft(text="new")] * 5, key="later")
        assert await history.append([BlockDraft(text="new")] * 5, key="later") == later

    async def test_a_context_counts_the_blocks_that_are_there(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=3))
        history = store.history("a")
        await history.append([BlockDraft()] * 8)
        await store.prune()
        assert [context.count for context in await store.contexts()] == [await history.count()] == [3]

    async def test_of_blocks_and_days_the_stricter_wins(self, another: Open) -> None:
        store = await another(retain=Retain(blocks=3, days=1))
        await store.history("a").append([BlockDraft()] * 5)
        assert await store.prune() == 2
        await store.close()
        store = await another(retain=Retain(blocks=3, days=0))
        assert await store.prune() == 3

    @pytest.mark.parametrize(
        "wrong",
        [
            {"blocks": -1},
            {"blocks": True},
            {"blocks": 1.5},
            {"blocks": "3"},
            {"days": -1},
            {"days": float("nan")},
            {"days": 1e300},
            {"days": True},
            {"days": "3"},
        ],
        ids=repr,
    )
    async def test_a_policy_that_is_none_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match=r"Retain\((blocks|days)=…\) takes"):
            Retain(**wrong)

    @pytest.mark.parametrize("wrong", [{"blocks": 3}, 5, "x"], ids=repr)
    async def test_a_store_takes_no_other_policy(self, another: Open, wrong: Any) -> None:
        with pytest.raises(InvalidInput, match="retain= takes Retain"):
            await another(retain=wrong)
