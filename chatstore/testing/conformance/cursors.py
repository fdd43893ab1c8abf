"""Cursors that are refused: wherever one is taken, and never silently wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from chatstore import AsyncChatStore, AsyncHistory, InvalidCursor, InvalidInput
from chatstore.testing.conformance.base import Part, fill, log, unchanged

Use: TypeAlias = Callable[[AsyncHistory, Any], Awaitable[object]]

USES: dict[str, Use] = {
    "get_messages after": lambda history, cursor: history.get_messages(after=cursor),
    "get_messages before": lambda history, cursor: history.get_messages(before=cursor),
    "subscribe after": lambda history, cursor: log(history, after=cursor),
    "append expect": lambda history, cursor: history.append_user_message("x", expect=cursor),
}

# What is done to a good cursor.
MALFORMED: dict[str, Callable[[str], Any]] = {
    "empty": lambda good: "",
    "a space": lambda good: " ",
    "a word": lambda good: "latest",
    "a number in text": lambda good: "1",
    "an integer": lambda good: 1,
    "a float": lambda good: 1.0,
    "bytes": lambda good: good.encode(),
    "a list": lambda good: [good],
    "cut short": lambda good: good[:-1],
    "one digit longer": lambda good: good + "0",
    "upper case": lambda good: good.upper().replace("0", "A"),
    "a space before": lambda good: f" {good}",
    "a newline behind": lambda good: f"{good}\n",
    "NUL behind": lambda good: f"{good}\0",
    "a negative number": lambda good: good[:-12] + "-00000000001",
    "a sign": lambda good: good[:-12] + "+00000000001",
    "digits of another script": lambda good: good[:-1] + "\u0661",
    "letters for the number": lambda good: good[:-12] + "abcdefabcdef",
    "other separators": lambda good: good.replace("-", "_"),
    "without the store": lambda good: good[13:],
    "twice": lambda good: good + good,
    "half a position": lambda good: good + ".00001",
    "a position of too many digits": lambda good: good + ".000001.000000000001",
    "a position in letters": lambda good: good + ".0000a.000000000001",
    "a cursor of a store": lambda good: good[:13] + "0" * 16,
    "quoted": lambda good: f'"{good}"',
    "SQL": lambda good: "' OR 1=1 --",
    "a lone surrogate": lambda good: "\ud800",
    "very long": lambda good: "0" * 100_000,
}


everywhere: pytest.MarkDecorator = pytest.mark.parametrize("use", USES.values(), ids=USES)


class Cursors(Part):
    """Malformed, foreign and impossible cursors."""

    @everywhere
    @pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED)
    async def test_a_malformed_cursor_is_refused(
        self, history: AsyncHistory, use: Use, spoil: Callable[[str], Any]
    ) -> None:
        good = (await history.append_user_message("hello")).cursor
        async with unchanged(history):
            with pytest.raises(InvalidInput) as refusal:
                await use(history, spoil(good))
        assert len(str(refusal.value)) < 300

    @everywhere
    async def test_a_cursor_of_another_context_is_refused(
        self, store: AsyncChatStore, history: AsyncHistory, use: Use
    ) -> None:
        await history.append_user_message("hello")
        other = await store.history("other").append_user_message("hello")
        async with unchanged(history):
            with pytest.raises(InvalidCursor):
                await use(history, other.cursor)

    @everywhere
    async def test_a_cursor_beyond_the_head_is_refused(self, history: AsyncHistory, use: Use) -> None:
        start = await history.head()
        await fill(history, 3)
        head = await history.head()
        assert head > start
        async with unchanged(history):
            for beyond in (head[:-1] + "4", head[:-12] + "9" * 12, head[:-1] + "4.00001.000000000000"):
                with pytest.raises(InvalidCursor):
                    await use(history, beyond)

    @everywhere
    async def test_a_cursor_beyond_the_head_of_a_context_that_does_not_exist_is_refused(
        self, history: AsyncHistory, use: Use
    ) -> None:
        start = await history.head()
        with pytest.raises(InvalidCursor):
            await use(history, start[:-1] + "1")
        assert await history.count() == 0

    @everywhere
    async def test_the_word_now_is_no_cursor_but_where_it_is_offered(self, history: AsyncHistory, use: Use) -> None:
        await history.append_user_message("hello")
        if use is USES["subscribe after"]:
            assert await use(history, "now") == []
            return
        async with unchanged(history):
            with pytest.raises(InvalidCursor):
                await use(history, "now")

    @everywhere
    async def test_a_cursor_of_another_store_is_refused(
        self, history: AsyncHistory, use: Use, foreign_store: AsyncChatStore
    ) -> None:
        await history.append_user_message("hello")
        foreign = await foreign_store.history(history.context_id).append_user_message("hello")
        async with unchanged(history):
            with pytest.raises(InvalidCursor):
                await use(history, foreign.cursor)
