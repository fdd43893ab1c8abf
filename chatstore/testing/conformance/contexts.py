"""Contexts: how they are named, and how they are listed."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import AsyncChatStore, Tag
from chatstore.testing.conformance.base import Open, Part, examples, soon

ODD_IDS = [
    "a/b",
    "../../etc/passwd",
    "..",
    ".",
    " ",
    " padded ",
    "two words",
    "💬",
    "é",
    "e\u0301",
    "new\nline",
    "x') OR ('1'='1",
    "%",
    "_",
    "?",
    "#",
    "'",
    '"',
    "now",
    "None",
    "\u202eright to left",
    "A",
    "a",
    "1",
    "01",
    "a" * 1000,
    "💬" * 1000,
]


class Contexts(Part):
    """Names of contexts, context keys, and `contexts`."""

    async def test_any_context_id_is_stored_and_comes_back_equal(self, store: AsyncChatStore) -> None:
        for context_id in ODD_IDS:
            block = await store.history(context_id).append_user_message(context_id)
            assert (block.index, block.context_id) == (0, context_id)
        assert [context.context_id for context in await store.contexts()] == ODD_IDS
        for context_id in ODD_IDS:
            assert [block.text for block in await store.history(context_id).get_messages()] == [context_id]

    @examples
    @given(
        context_id=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)
    )
    async def test_a_random_context_id_comes_back_equal(self, store: AsyncChatStore, context_id: str) -> None:
        history = store.history(context_id)
        block = await history.append_user_message("hello")
        assert block.context_id == context_id == history.context_id
        assert (await store.history(context_id).get_block(block.id)).context_id == context_id

    async def test_context_keys_name_one_history_whatever_their_order(self, store: AsyncChatStore) -> None:
        block = await store.history({"user": "u1", "channel": "web"}).append_user_message("hello")
        again = store.history({"channel": "web", "user": "u1"})
        assert await again.get_messages() == [block]
        assert again.context_id == block.context_id

    async def test_context_keys_match_as_a_whole(self, store: AsyncChatStore) -> None:
        keys = {"user": "u1", "channel": "web"}
        await store.history(keys).append_user_message("hello")
        for other in (
            {"user": "u1"},
            {**keys, "team": "x"},
            {"user": "web", "channel": "u1"},
            {"user": "U1", "channel": "web"},
        ):
            assert await store.history(other).count() == 0

    async def test_context_keys_name_the_same_history_in_another_store_object(
        self, store: AsyncChatStore, another: Open
    ) -> None:
        keys = {"user": "u1", "channel": "web"}
        twin = await another()
        histories = [(store, twin)[place % 2].history(keys) for place in range(20)]
        await soon(asyncio.gather(*(history.append_user_message("hello") for history in histories)))
        (context,) = await store.contexts()
        assert (context.keys, context.count) == (keys, 20)

    async def test_the_id_that_stands_for_keys_names_the_same_history(self, store: AsyncChatStore) -> None:
        by_keys = store.history({"user": "u1"})
        await store.history(by_keys.context_id).append_user_message("by id")
        await by_keys.append_user_message("by keys")
        (context,) = await store.contexts(keys={"user": "u1"})
        assert (context.context_id, context.count, context.keys) == (by_keys.context_id, 2, {"user": "u1"})

    async def test_a_context_is_listed_as_it_is(self, store: AsyncChatStore) -> None:
        history = store.history({"user": "u1"})
        first = await history.append_user_message("hello")
        last = await history.append_assistant_message("hi")
        await history.tag_context(Tag(kind="topic", name="greeting", value=1))
        assert await store.history("other").info() is None
        (context,) = await store.contexts()
        assert await history.info() == context
        assert context.context_id == history.context_id
        assert (context.keys, context.count, context.head) == ({"user": "u1"}, 2, last.cursor)
        assert context.tags == (Tag(kind="topic", name="greeting", value=1),)
        assert context.created_at == first.created_at
        assert context.updated_at >= last.created_at

    async def test_a_context_comes_into_being_with_its_first_write(self, store: AsyncChatStore) -> None:
        history = store.history("c")
        assert (await history.get_messages(), await history.count()) == ([], 0)
        await history.head()
        assert await store.contexts() == []
        await history.tag_context(Tag(kind="k", name="n"))
        assert [context.count for context in await store.contexts()] == [0]

    async def test_contexts_are_listed_by_pages_in_the_order_they_were_made(self, store: AsyncChatStore) -> None:
        names = [f"c{number}" for number in range(10)]
        for name in reversed(names):
            await store.history(name).append_user_message("hello")
        listed: list[str] = []
        while page := await store.contexts(after=listed[-1] if listed else None, limit=3):
            listed += [context.context_id for context in page]
        assert listed == names[::-1]
        assert await store.contexts(limit=0) == []

    async def test_the_pages_go_on_behind_a_context_that_was_erased_meanwhile(self, store: AsyncChatStore) -> None:
        for name in "abcd":
            await store.history(name).append_user_message("hello")
        first = await store.contexts(limit=2)
        await store.history("b").erase()
        second = await store.contexts(after=first[-1].context_id)
        assert [context.context_id for context in (*first, *second)] == [*"abcd"]

    async def test_contexts_are_listed_newest_first_by_pages(self, store: AsyncChatStore) -> None:
        for number in range(7):
            await store.history({"user": "even" if number % 2 == 0 else "odd", "n": str(number)}).append_user_message(
                "x"
            )
        for keys, expected in ((None, "6543210"), ({"user": "even"}, "6420")):
            found: list[str] = []
            after = None
            while page := await store.contexts(keys=keys, after=after, limit=2, newest_first=True):
                found += [dict(context.keys or {})["n"] for context in page]
                after = page[-1].context_id
            assert "".join(found) == expected

    async def test_contexts_are_found_by_keys_and_tags_together(self, store: AsyncChatStore) -> None:
        for user in ("u1", "u2"):
            for channel in ("web", "mail"):
                history = store.history({"user": user, "channel": channel})
                await history.append_user_message("hello", tags=[Tag(kind="on", name="block")])
                if channel == "web":
                    await history.tag_context(Tag(kind="state", name="open"), Tag(kind="topic", name=user))

        async def found(**wanted: object) -> list[object]:
            return [context.keys for context in await store.contexts(**wanted)]  # type: ignore[arg-type]

        assert await found(keys={"user": "u1"}) == [
            {"user": "u1", "channel": "web"},
            {"user": "u1", "channel": "mail"},
        ]
        assert await found(keys={"channel": "web", "user": "u2"}) == [{"user": "u2", "channel": "web"}]
        assert len(await found(tags=[("state", "open")])) == 2
        assert await found(tags=[("state", "open"), Tag(kind="topic", name="u2")], keys={"channel": "web"}) == [
            {"user": "u2", "channel": "web"}
        ]
        assert await found(tags=[("state", "open")], keys={"channel": "mail"}) == []
        assert await found(tags=[("on", "block")]) == []

    async def test_a_page_of_found_contexts_goes_on_where_the_last_ended(self, store: AsyncChatStore) -> None:
        for number in range(9):
            await store.history({"user": "even" if number % 2 == 0 else "odd", "n": str(number)}).append_user_message(
                "x"
            )
        first = await store.contexts(keys={"user": "even"}, limit=2)
        second = await store.contexts(keys={"user": "even"}, after=first[-1].context_id)
        assert [dict(context.keys or {})["n"] for context in (*first, *second)] == ["0", "2", "4", "6", "8"]

    @pytest.mark.parametrize("value", ["x') OR ('1'='1", "%", "'; DROP TABLE blocks; --", "u_"])
    async def test_values_of_a_listing_are_values_and_never_sql(self, store: AsyncChatStore, value: str) -> None:
        await store.history({"user": "u1"}).append_user_message("hello")
        assert await store.contexts(keys={"user": value}) == []
        assert await store.contexts(keys={value: "u1"}) == []
        assert await store.contexts(tags=[(value, value)]) == []
        named = store.history({value: value})
        await named.append_user_message("hello")
        await named.tag_context(Tag(kind=value, name=value))
        assert [c.keys for c in await store.contexts(keys={value: value}, tags=[(value, value)])] == [{value: value}]
