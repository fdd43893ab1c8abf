"""Appending: what is stored, in which order, and what comes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from chatstore import AsyncChatStore, AsyncHistory, Block, BlockDraft, BlockNotFound, InvalidInput, Tag
from chatstore import Part as BlockPart
from chatstore.testing.conformance.base import Part, soon, unchanged


class Appending(Part):
    """Single appends, batches and the named methods."""

    async def test_an_append_returns_the_block_as_it_is_stored(self, history: AsyncHistory) -> None:
        draft = BlockDraft(
            type="tool_trace",
            role="tool",
            author="weather-agent",
            run_id="run-1",
            text="18 °C",
            data={"celsius": 18.0},
            tags=(Tag(kind="topic", name="weather", value=["Paris"]),),
            internal=True,
            usage={"input_tokens": 12},
        )
        block = await history.append(draft)
        for field in ("type", "role", "author", "run_id", "text", "data", "tags", "internal", "usage"):
            assert getattr(block, field) == getattr(draft, field), field
        assert (await history.get_block(block.id)).internal is True
        assert (block.index, block.state, block.context_id, block.parent_id) == (0, "closed", "support-42", None)
        assert await history.get_messages() == [block]
        assert await history.get_block(block.id) == block

    async def test_what_a_draft_leaves_open_is_open_in_its_block(self, history: AsyncHistory) -> None:
        block = await history.append(BlockDraft())
        named = (block.role, block.author, block.run_id, block.parent_id, block.data, block.usage)
        assert named == (None,) * len(named)
        assert (block.text, block.parts, block.tags, block.internal) == ("", (), (), False)
        assert await history.get_block(block.id) == block

    async def test_a_block_has_a_uuid_version_7_and_aware_times(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("hello")
        assert UUID(block.id).version == 7
        assert block.created_at == block.updated_at
        assert block.created_at.tzinfo == UTC
        assert abs((datetime.now(UTC) - block.created_at).total_seconds()) < 3600

    async def test_indexes_count_up_without_gaps_and_cursors_ascend_as_text(self, history: AsyncHistory) -> None:
        blocks = [await history.append_user_message(str(place)) for place in range(12)]
        assert [block.index for block in blocks] == list(range(12))
        cursors = [block.cursor for block in blocks]
        assert cursors == sorted(set(cursors))
        assert await history.head() == cursors[-1]
        assert await history.count() == 12

    async def test_a_batch_is_stored_in_order_with_consecutive_indexes(self, history: AsyncHistory) -> None:
        await history.append_user_message("before")
        batch = await history.append([BlockDraft(text=text) for text in "abc"])
        assert [(block.index, block.text) for block in batch] == [(1, "a"), (2, "b"), (3, "c")]
        assert (await history.get_messages())[1:] == batch

    async def test_a_batch_may_be_any_iterable_and_hold_one_draft_twice(self, history: AsyncHistory) -> None:
        draft = BlockDraft(text="again")
        batch = await history.append(draft for _ in range(2))
        assert [(block.index, block.text) for block in batch] == [(0, "again"), (1, "again")]
        assert batch[0].id != batch[1].id

    async def test_an_empty_batch_stores_nothing_and_makes_no_context(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        assert await history.append([]) == []
        assert await store.contexts() == []

    async def test_a_batch_with_one_bad_draft_stores_none_of_it(self, history: AsyncHistory) -> None:
        await history.append_user_message("before")
        async with unchanged(history):
            with pytest.raises(InvalidInput):
                await history.append([BlockDraft(text="good"), BlockDraft(type="", text="bad")])
            with pytest.raises(BlockNotFound):
                await history.append([BlockDraft(text="good"), BlockDraft(text="bad", parent=_ABSENT)])

    async def test_concurrent_batches_do_not_interleave(self, history: AsyncHistory) -> None:
        batches = await soon(
            asyncio.gather(*(history.append([BlockDraft(text=f"{name}{n}") for n in range(5)]) for name in "abcdefgh"))
        )
        for batch in batches:
            assert [block.index for block in batch] == list(range(batch[0].index, batch[0].index + 5))
        stored = await history.get_messages()
        assert [block.index for block in stored] == list(range(40))
        assert {block.id: block for block in stored} == {block.id: block for batch in batches for block in batch}

    async def test_a_refused_append_does_not_fail_its_neighbours(self, history: AsyncHistory) -> None:
        appends = [
            history.append(BlockDraft(text=str(place), parent=_ABSENT if place % 3 == 0 else None))
            for place in range(30)
        ]
        answers = await soon(asyncio.gather(*appends, return_exceptions=True))
        for place, answer in enumerate(answers):
            assert isinstance(answer, BlockNotFound if place % 3 == 0 else Block), place
        assert [block.index for block in await history.get_messages()] == list(range(20))

    @pytest.mark.parametrize(
        ("method", "type", "role"),
        [
            ("append_user_message", "message", "user"),
            ("append_assistant_message", "message", "assistant"),
            ("append_system_message", "message", "system"),
            ("append_status_message", "status", None),
            ("append_reasoning", "reasoning", "assistant"),
        ],
    )
    async def test_a_named_method_sets_type_and_role_and_takes_every_option(
        self, history: AsyncHistory, method: str, type: str, role: str | None
    ) -> None:
        first = await history.append_user_message("question")
        block = await getattr(history, method)(
            "text",
            author="a",
            tags=[Tag(kind="k", name="n")],
            data={"x": 1},
            parts=[BlockPart(type="text", text="part")],
            internal=True,
            parent=first,
            run_id="r",
            usage={"tokens": 3},
        )
        assert (block.type, block.role, block.text, block.author) == (type, role, "text", "a")
        assert block.tags == (Tag(kind="k", name="n"),)
        assert (block.data, block.parts[0].text, block.usage) == ({"x": 1}, "part", {"tokens": 3})
        assert (block.internal, block.parent_id, block.run_id) == (True, first.id, "r")
        assert await history.get_block(block.id) == block

    async def test_a_function_call_keeps_its_arguments_parsed(self, history: AsyncHistory) -> None:
        call = await history.append_function_call("get_weather", {"city": "Paris"}, call_id="call_1", data={"own": 1})
        assert (call.type, call.role) == ("function_call", "assistant")
        assert call.data == {
            "name": "get_weather",
            "arguments": {"city": "Paris"},
            "call_id": "call_1",
            "own": 1,
        }

    @pytest.mark.parametrize(
        ("raw", "parsed"),
        [
            ('{ "city":"Paris" }', {"city": "Paris"}),
            ('{"city": "Par', None),
            ("", None),
            ('{"a": NaN}', None),
            ('{"a": 1e999}', None),
            ("9" * 40, None),
            ("[" * 200 + "]" * 200, None),
            ("[" * 100_000, None),
            ('"\\ud800"', None),
        ],
        ids=lambda value: repr(value)[:20],
    )
    async def test_raw_arguments_are_kept_to_the_letter(self, history: AsyncHistory, raw: str, parsed: object) -> None:
        call = await history.append_function_call("f", raw)
        stored = await history.get_block(call.id)
        assert stored.text == raw
        assert stored.data == {"name": "f", "arguments": parsed, "call_id": None}

    async def test_a_function_result_belongs_to_its_call(self, history: AsyncHistory) -> None:
        call = await history.append_function_call("f", {}, call_id="call_1")
        result = await history.append_function_result("18 °C", call=call, is_error=True)
        assert (result.type, result.role, result.parent_id) == ("function_result", "tool", call.id)
        assert result.data == {"call_id": "call_1", "name": "f", "is_error": True}
        by_id = await history.append_function_result("19 °C", call=call.id, call_id="call_1", name="f")
        assert (by_id.parent_id, by_id.data["is_error"]) == (call.id, False)

    async def test_whether_a_result_is_an_error_is_stored_as_a_truth_value(self, history: AsyncHistory) -> None:
        for given in (0, 1):
            result = await history.append_function_result("x", call_id="c", is_error=given)  # type: ignore[arg-type]
            assert result.data["is_error"] is bool(given)

    async def test_a_draft_may_be_the_parent_of_a_later_one_of_its_batch(self, history: AsyncHistory) -> None:
        message = BlockDraft(role="assistant", text="I will look")
        call = BlockDraft(type="function_call", parent=message)
        stored = await history.append([message, call, BlockDraft(type="function_result", parent=call)])
        assert [block.parent_id for block in stored] == [None, stored[0].id, stored[1].id]
        assert await history.get_messages() == stored

    async def test_a_parent_is_an_earlier_block_of_the_same_history(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        elsewhere = await store.history("elsewhere").append_user_message("hello")
        later = BlockDraft(text="later")
        async with unchanged(history):
            for parent, error in ((elsewhere, BlockNotFound), (elsewhere.id, BlockNotFound), ("x", InvalidInput)):
                with pytest.raises(error):
                    await history.append_user_message("child", parent=parent)
            with pytest.raises(InvalidInput):
                await history.append([BlockDraft(text="child", parent=later), later])

    async def test_a_cancelled_append_is_stored_whole_or_not_at_all(self, history: AsyncHistory) -> None:
        for attempt in range(40):
            batch = [BlockDraft(text=f"{attempt}.{n}") for n in range(3)]
            task = asyncio.ensure_future(history.append(batch, key=f"key-{attempt}"))
            for _ in range(attempt % 8):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            stored = await soon(history.append(batch, key=f"key-{attempt}"))
            assert [block.text for block in stored] == [draft.text for draft in batch]
        assert await history.count() == 120
        assert [block.index for block in await history.get_messages()] == list(range(120))


_ABSENT = "01890a5d-ac96-774b-bcce-b302099a8057"
