"""Conditional appends: `key=` makes a repetition safe, `expect=` compares and sets."""

from __future__ import annotations

import asyncio

import pytest

from chatstore import AsyncChatStore, AsyncHistory, Block, BlockDraft, Conflict, KeyConflict, Tag
from chatstore import Part as BlockPart
from chatstore.testing.conformance.base import Open, Part, soon, unchanged


def batch() -> list[BlockDraft]:
    """A batch with something in every field that a key stands for."""
    question = BlockDraft(role="user", text="question", tags=(Tag(kind="k", name="n", value=1),))
    answer = BlockDraft(
        role="assistant",
        author="agent",
        run_id="r",
        text="answer",
        data={"x": [1.5, None]},
        parts=(BlockPart(type="file", content=b"\0\xff"),),
        parent=question,
        usage={"tokens": 1},
    )
    return [question, answer]


class AppendConditions(Part):
    """Keys and expected cursors."""

    async def test_a_key_with_the_same_content_returns_the_blocks_already_stored(self, history: AsyncHistory) -> None:
        stored = await history.append(batch(), key="order-7")
        async with unchanged(history):
            assert await history.append(batch(), key="order-7") == stored

    async def test_a_repeated_key_returns_the_blocks_as_they_are_by_now(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("hello", key="k")
        tagged = await history.tag(block, Tag(kind="seen", name="yes"))
        assert await history.append_user_message("hello", key="k") == tagged

    @pytest.mark.parametrize(
        "other",
        [
            {"text": "other"},
            {"role": "assistant"},
            {"author": "other"},
            {"type": "status"},
            {"data": {}},
            {"internal": True},
            {"run_id": "other"},
            {"usage": {"tokens": 2}},
            {"tags": (Tag(kind="k", name="n"),)},
            {"parts": (BlockPart(type="file", content=b"other"),)},
        ],
        ids=lambda other: next(iter(other)),
    )
    async def test_a_key_with_other_content_is_refused(self, history: AsyncHistory, other: dict[str, object]) -> None:
        draft = BlockDraft(role="user", text="hello")
        await history.append(draft, key="k")
        async with unchanged(history):
            with pytest.raises(KeyConflict):
                await history.append(draft.model_copy(update=other), key="k")
            with pytest.raises(KeyConflict):
                await history.append([draft, draft], key="k")

    async def test_a_key_belongs_to_its_context(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        first = await history.append_user_message("hello", key="k")
        other = await store.history("other").append_user_message("something else", key="k")
        assert other.index == 0
        assert await history.append_user_message("hello", key="k") == first
        assert await store.history("other").append_user_message("something else", key="k") == other

    async def test_one_key_raced_by_many_stores_once(self, history: AsyncHistory, another: Open) -> None:
        twin = (await another()).history(history.context_id)
        appends = [(history, twin)[place % 2].append(batch(), key="k") for place in range(20)]
        first, *others = await soon(asyncio.gather(*appends))
        assert all(blocks == first for blocks in others)
        assert await history.count() == 2

    async def test_a_key_survives_the_store_being_opened_again(self, another: Open) -> None:
        store = await another()
        stored = await store.history("c").append(batch(), key="k")
        await store.close()
        assert await (await another()).history("c").append(batch(), key="k") == stored

    async def test_an_expected_head_lets_the_append_through(self, history: AsyncHistory) -> None:
        first = await history.append_user_message("one", expect=await history.head())
        second = await history.append_user_message("two", expect=first.cursor)
        assert (first.index, second.index) == (0, 1)

    async def test_a_conflict_stores_nothing_and_carries_the_head(self, history: AsyncHistory) -> None:
        start = await history.head()
        first = await history.append_user_message("one")
        await history.append_user_message("two")
        for stale in (start, first.cursor):
            async with unchanged(history):
                with pytest.raises(Conflict) as conflict:
                    await history.append(batch(), expect=stale)
            assert conflict.value.head == await history.head()
        await history.append_user_message("three", expect=conflict.value.head)

    async def test_any_change_moves_what_is_expected(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("one")
        await history.tag(block, Tag(kind="k", name="n"))
        with pytest.raises(Conflict):
            await history.append_user_message("two", expect=block.cursor)

    async def test_of_many_that_expect_the_same_head_one_wins(self, history: AsyncHistory, another: Open) -> None:
        head = await history.head()
        twin = (await another()).history(history.context_id)
        appends = [(history, twin)[place % 2].append_user_message(str(place), expect=head) for place in range(20)]
        answers = await soon(asyncio.gather(*appends, return_exceptions=True))
        assert sum(isinstance(answer, Block) for answer in answers) == 1
        assert sum(isinstance(answer, Conflict) for answer in answers) == 19
        assert await history.count() == 1

    async def test_a_key_that_is_stored_answers_whatever_is_expected(self, history: AsyncHistory) -> None:
        start = await history.head()
        stored = await history.append(batch(), key="k", expect=start)
        await history.append_user_message("meanwhile")
        assert await history.append(batch(), key="k", expect=start) == stored

    async def test_a_conflict_does_not_use_the_key_up(self, history: AsyncHistory) -> None:
        start = await history.head()
        head = (await history.append_user_message("one")).cursor
        with pytest.raises(Conflict):
            await history.append(batch(), key="k", expect=start)
        assert [block.index for block in await history.append(batch(), key="k", expect=head)] == [1, 2]
