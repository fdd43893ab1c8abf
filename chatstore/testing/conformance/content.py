"""Content: any text and any JSON come back equal, whatever the caller does with them afterwards."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import AsyncChatStore, AsyncHistory, BlockDraft, Tag
from chatstore.testing.conformance.base import Part, block_of, examples, log

_names = count()

TEXTS = {
    "empty": "",
    "NUL": "a\0b",
    "only NUL": "\0",
    "carriage return": "a\r\nb\rc\n",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "byte order mark": "\ufeffa",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "private use": "\ue000",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈",
    "bidirectional": "\u202eabc\u202c \u2067שלום\u2069",
    "combining": "e\u0301 ≠ é",
    "surrounding space": "  \t a \n ",
    "controls": "".join(map(chr, range(0x20))) + "\x7f\x9b",
    "escape sequence": "\x1b]0;title\x07\x1b[2J",
    "quotes": "'\"\\`%s {} ${x} :name ?",
    "JSON": '{"a": "\\u0000"}',
    "long": "long line " * 50_000,
}

JSON: list[Any] = [
    None,
    True,
    False,
    0,
    -0.0,
    0.1,
    1e-320,
    1.7976931348623157e308,
    5e-324,
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    1.0,
    "",
    "\0\u2028\U0001f600",
    [],
    {},
    [[]],
    {"": {"": [None]}},
    {"b": 1, "a": 2, "\0": 3, "B": 4},
    [1, 1.0, True, "1"],
]

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
)


def exact(value: Any) -> str:
    """A value as text that tells -0.0 from 0, 1 from 1.0 from true, and one order of keys from another."""
    return json.dumps(value, ensure_ascii=True)


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


class Content(Part):
    """Text, JSON, and independence from the caller's objects."""

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    async def test_text_comes_back_equal(self, history: AsyncHistory, text: str) -> None:
        block = await history.append_user_message(text, data={"in data": text, text: 1})
        for found in (block, *await history.get_messages(), *map(block_of, await log(history))):
            assert found.text == text
            assert found.data == {"in data": text, text: 1}

    @examples
    @given(text=st.text(st.characters(exclude_categories=["Cs"])))
    async def test_any_text_comes_back_equal(self, store: AsyncChatStore, text: str) -> None:
        history = store.history(f"text {next(_names)}")
        await history.append(BlockDraft(text=text, data=[text], tags=(Tag(kind="k", name="n", value=text),)))
        (block,) = await history.get_messages()
        assert (block.text, block.data, block.tags[0].value) == (text, [text], text)

    @pytest.mark.parametrize("value", JSON, ids=exact)
    async def test_json_comes_back_exactly(self, history: AsyncHistory, value: Any) -> None:
        appended = await history.append(
            BlockDraft(data=value, usage={"value": value}, tags=(Tag(kind="k", name="n", value=value),))
        )
        for block in (appended, *await history.get_messages()):
            assert exact(block.data) == exact(value)
            assert exact(block.usage) == exact({"value": value})
            assert exact(block.tags[0].value) == exact(value)

    @examples
    @given(value=values)
    async def test_any_json_comes_back_exactly(self, store: AsyncChatStore, value: Any) -> None:
        history = store.history(f"json {next(_names)}")
        await history.append(BlockDraft(data=value))
        (block,) = await history.get_messages()
        assert exact(block.data) == exact(value)

    async def test_json_may_be_nested_a_hundred_levels_deep(self, history: AsyncHistory) -> None:
        assert (await history.append(BlockDraft(data=nested(100)))).data == nested(100)
        assert (await history.get_messages())[0].data == nested(100)

    async def test_what_the_caller_changes_afterwards_is_not_changed_in_the_store(self, history: AsyncHistory) -> None:
        data: dict[str, Any] = {"list": [1, {"deep": True}]}
        value, usage, tags = {"n": 1}, {"tokens": 1}, [Tag(kind="k", name="n", value={"n": 1})]
        block = await history.append_user_message("x", data=data, usage=usage, tags=tags)
        await history.set_usage(block, value)
        data["list"][1]["deep"] = False
        data["more"] = usage["tokens"] = value["n"] = 2
        tags[0].value["n"] = 2
        tags.clear()
        (stored,) = await history.get_messages()
        assert stored.data == {"list": [1, {"deep": True}]}
        assert stored.usage == {"n": 1}
        assert stored.tags == (Tag(kind="k", name="n", value={"n": 1}),)

    async def test_ten_thousand_blocks_of_one_batch_are_stored(self, history: AsyncHistory) -> None:
        drafts = [BlockDraft(text=str(place)) for place in range(10_000)]
        stored = await history.append(drafts)
        assert [block.index for block in stored] == list(range(10_000))
        assert await history.get_messages(last=2) == stored[-2:]
        assert await history.count() == 10_000
