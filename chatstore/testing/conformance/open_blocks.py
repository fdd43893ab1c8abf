"""Open blocks: text that grows, what is read of it meanwhile, and what comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import AsyncChatStore, AsyncHistory, InvalidInput, InvalidText, Tag, TextAppended
from chatstore.testing.conformance.base import Open, Part, examples, log, soon, unchanged

_names = count()
pieces: st.SearchStrategy[list[str]] = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=12
)


class OpenBlocks(Part):
    """`open_message`, `open_block`, and messages from an iterator."""

    async def test_the_text_so_far_is_read_while_the_block_is_open(self, history: AsyncHistory, another: Open) -> None:
        twin = (await another()).history(history.context_id)
        async with history.open_message() as block:
            for place, piece in enumerate(["Hel", "lo ", "you"]):
                await block.write(piece)
                await soon(block.flush())
                (seen,) = await twin.get_messages()
                assert (seen.text, seen.state) == ("Hello you"[: place * 3 + 3], "open")
                assert await history.get_block(block.block.id) == seen
        (closed,) = await history.get_messages()
        assert (closed.text, closed.state) == ("Hello you", "closed")
        assert closed.updated_at >= closed.created_at

    async def test_a_block_is_there_with_its_header_before_its_text(self, history: AsyncHistory) -> None:
        first = await history.append_user_message("question")
        header: dict[str, Any] = {
            "author": "writer",
            "tags": (Tag(kind="source", name="page-1"),),
            "data": {"sources": [1, 2]},
            "parent_id": first.id,
            "internal": True,
        }
        options = {**header, "parent": first}
        del options["parent_id"]
        async with history.open_message(**options) as block:
            (_, seen) = await history.get_messages()
            assert seen == block.block
            assert (seen.text, seen.state, seen.type, seen.role) == ("", "open", "message", "assistant")
            assert {name: getattr(seen, name) for name in header} == header
            await block.write("answer")
        (_, closed) = await history.get_messages()
        assert {name: getattr(closed, name) for name in header} == header
        assert closed.text == "answer"

    async def test_an_open_block_may_be_the_first_thing_of_a_history(self, store: AsyncChatStore) -> None:
        history = store.history({"user": "u1"})
        async with history.open_block("reasoning", role="assistant") as block:
            await block.write("hm")
        assert [(block.type, block.text) for block in await history.get_messages()] == [("reasoning", "hm")]

    async def test_a_writer_may_be_awaited_and_ended_by_hand(self, history: AsyncHistory) -> None:
        block = await history.open_message(role="user")
        await block.write("by hand")
        closed = await block.close()
        assert (closed.text, closed.state, closed.role) == ("by hand", "closed", "user")
        assert await history.get_messages() == [closed]

    @pytest.mark.parametrize("waits", [False, True])
    async def test_an_iterator_of_text_is_a_message_that_grows(self, history: AsyncHistory, waits: bool) -> None:
        words = ["so ", "it ", "", "goes"]

        async def awaited() -> AsyncIterator[str]:
            for word in words:
                await asyncio.sleep(0)
                yield word

        given = awaited() if waits else iter(words)
        block = await soon(history.append_assistant_message(given, author="a", tags=[Tag(kind="k", name="n")]))
        assert (block.text, block.state, block.role, block.author) == ("so it goes", "closed", "assistant", "a")
        assert await history.get_messages(tags=[("k", "n")]) == [block]

    @pytest.mark.parametrize("waits", [False, True])
    async def test_an_iterator_that_fails_leaves_what_it_gave_in_a_failed_block(
        self, history: AsyncHistory, waits: bool
    ) -> None:
        def failing() -> Any:
            yield "so far"
            raise LookupError("the model went away")

        async def awaited() -> AsyncIterator[str]:
            for word in failing():
                yield word

        with pytest.raises(LookupError):
            await soon(history.append_assistant_message(awaited() if waits else failing()))
        (block,) = await history.get_messages()
        assert (block.text, block.state) == ("so far", "failed")
        assert block.data["error"] == {"type": "LookupError", "message": "the model went away"}

    async def test_an_iterator_takes_no_key_and_no_expect(self, history: AsyncHistory) -> None:
        await history.append_user_message("x")
        async with unchanged(history):
            for wrong in ({"key": "k"}, {"expect": await history.head()}):
                with pytest.raises(InvalidInput):
                    await history.append_assistant_message(iter(["text"]), **wrong)

    @examples
    @given(pieces=pieces, flushes=st.sets(st.integers(0, 11)))
    async def test_any_text_that_grew_comes_back_equal(
        self, store: AsyncChatStore, pieces: list[str], flushes: set[int]
    ) -> None:
        history = store.history(f"grown {next(_names)}")
        async with history.open_message() as block:
            for place, piece in enumerate(pieces):
                await block.write(piece)
                if place in flushes:
                    await soon(block.flush())
                    (seen,) = await history.get_messages()
                    assert seen.text == "".join(pieces[: place + 1])
        (closed,) = await history.get_messages()
        assert closed.text == "".join(pieces)

    async def test_offsets_count_characters(self, history: AsyncHistory) -> None:
        words = ["💬", "e\u0301", "👩‍👩‍👧", "plain", "ключ"]
        async with history.open_message() as block, history.subscribe(after="now") as subscription:
            for place, word in enumerate(words):
                await block.write(word)
                await soon(block.flush())
                change = await soon(anext(subscription))
                assert isinstance(change, TextAppended)
                assert (change.offset, change.text) == (len("".join(words[:place])), word)
                assert (change.block_id, change.index, change.type) == (block.block.id, 0, "message")
                assert (change.role, change.author, change.run_id) == ("assistant", None, None)

    async def test_writing_nothing_changes_nothing(self, history: AsyncHistory) -> None:
        async with history.open_message() as block, unchanged(history):
            for _ in range(3):
                await block.write("")
            await soon(block.flush())
        assert len(await log(history)) == 2

    async def test_huge_text_is_taken_whole(self, history: AsyncHistory) -> None:
        huge = [letter * 700_000 for letter in "aéb"]
        async with history.open_message() as block:
            for piece in huge:
                await soon(block.write(piece))
        (closed,) = await history.get_messages()
        assert closed.text == "".join(huge)

    async def test_text_that_cannot_be_stored_is_refused_and_the_block_goes_on(self, history: AsyncHistory) -> None:
        async with history.open_message() as block:
            await block.write("before ")
            for wrong, error in (("\ud800", InvalidText), (None, InvalidInput), (b"x", InvalidInput)):
                with pytest.raises(error):
                    await block.write(wrong)  # type: ignore[arg-type]
            await block.write("after")
        (closed,) = await history.get_messages()
        assert (closed.text, closed.state) == ("before after", "closed")

    async def test_a_block_that_cannot_be_is_not_opened(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        wrongs: list[dict[str, Any]] = [
            {"type": "Upper case"},
            {"type": ""},
            {"type": "message", "role": ""},
            {"type": "message", "author": "\ud800"},
            {"type": "message", "data": object()},
            {"type": "message", "key": "k"},
        ]
        for wrong in wrongs:
            with pytest.raises(InvalidInput):
                await history.open_block(**wrong)
        assert await store.contexts() == []

    async def test_open_blocks_grow_beside_each_other_and_beside_whole_ones(self, history: AsyncHistory) -> None:
        async with history.open_message(author="one") as one, history.open_block("reasoning") as two:
            await history.append_status_message("working")
            for place in range(20):
                await one.write(f"1.{place} ")
                await two.write(f"2.{place} ")
                if place % 5 == 0:
                    await asyncio.gather(one.flush(), two.flush())
                    await history.append_user_message(str(place))
        blocks = await history.get_messages()
        assert [block.index for block in blocks] == list(range(7))
        assert [blocks[place].text for place in (0, 1)] == [
            "".join(f"{name}.{place} " for place in range(20)) for name in (1, 2)
        ]
        assert [block.text for block in blocks[2:]] == ["working", "0", "5", "10", "15"]

    async def test_many_blocks_grow_at_once(self, history: AsyncHistory) -> None:
        async def grow(name: int) -> None:
            async with history.open_message(author=str(name)) as block:
                for place in range(30):
                    await block.write(f"{name}.{place} ")
                    await asyncio.sleep(0)

        await soon(asyncio.gather(*map(grow, range(25))))
        blocks = await history.get_messages(states=["closed"])
        assert {block.author: block.text for block in blocks} == {
            str(name): "".join(f"{name}.{place} " for place in range(30)) for name in range(25)
        }

    async def test_tags_and_usage_put_on_an_open_block_stay(self, history: AsyncHistory) -> None:
        async with history.open_message(tags=[Tag(kind="k", name="first")]) as block:
            await block.write("so far ")
            await soon(block.flush())
            await history.tag(block.block, Tag(kind="k", name="late", value=1))
            await history.set_usage(block.block.id, {"tokens": 2})
            assert [seen.text for seen in await history.get_messages(tags=[("k", "late")])] == ["so far "]
            await block.write("and on")
        (closed,) = await history.get_messages(tags=[("k", "late"), ("k", "first")])
        assert (closed.text, closed.usage, closed.state) == ("so far and on", {"tokens": 2}, "closed")

    async def test_states_tell_open_blocks_from_finished_ones(self, history: AsyncHistory) -> None:
        await history.append_user_message("question")
        async with history.open_message() as block:
            await block.write("so far")
            await soon(block.flush())
            assert [(seen.index, seen.text) for seen in await history.get_messages(states=["open"])] == [(1, "so far")]
            assert [seen.index for seen in await history.get_messages(states=["closed"])] == [0]
            assert await history.count(states=["open"]) == 1
            assert len(await history.get_messages(kind="transcript")) == 2
        assert await history.get_messages(states=["open"]) == []
        assert await history.count(states=["closed"]) == 2

    async def test_a_call_without_result_is_closed_in_a_prompt(self, history: AsyncHistory) -> None:
        await history.append_user_message("weather?")
        answered = await history.append_function_call("get_weather", {}, call_id="call_1")
        result = await history.append_function_result("18 °C", call=answered)
        orphan = await history.append_function_call("get_time", {}, call_id="call_1")
        *_, added = await history.get_messages(kind="prompt")
        assert [block.id for block in await history.get_messages(kind="prompt")][:-1] == [
            block.id for block in await history.get_messages()
        ]
        assert (added.type, added.parent_id, added.state) == ("function_result", orphan.id, "interrupted")
        assert added.data == {"call_id": "call_1", "name": "get_time", "is_error": True}
        assert (await history.get_messages(types=["function_result"])) == [result]
        await history.append_function_result("noon", call=orphan)
        assert await history.get_messages(kind="prompt") == await history.get_messages()
