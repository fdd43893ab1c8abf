"""Bad input: an error of chatstore's own that says what is wrong, and nothing written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    Block,
    BlockDraft,
    InvalidData,
    InvalidInput,
    InvalidText,
    LimitExceeded,
    Tag,
    UnknownKind,
)
from chatstore import Part as BlockPart
from chatstore.testing.conformance.base import Part, log, unchanged
from chatstore.testing.conformance.content import nested

Say: TypeAlias = Callable[[AsyncHistory, Block, str], Awaitable[object]]

# Everywhere that text is taken.
CONTENT: dict[str, Say] = {
    "text": lambda history, block, text: history.append_user_message(text),
    "draft": lambda history, block, text: history.append(BlockDraft(text=text)),
    "raw arguments": lambda history, block, text: history.append_function_call("f", text),
    "arguments": lambda history, block, text: history.append_function_call("f", {"a": text}),
    "result": lambda history, block, text: history.append_function_result(text),
    "data": lambda history, block, text: history.append_user_message("x", data=[{"a": text}]),
    "key of data": lambda history, block, text: history.append_user_message("x", data={text: 1}),
    "usage": lambda history, block, text: history.append_user_message("x", usage={"a": text}),
    "set usage": lambda history, block, text: history.set_usage(block, {"a": text}),
    "value of a tag": lambda history, block, text: history.tag(block, Tag(kind="k", name="n", value=text)),
    "text of a part": lambda history, block, text: history.append_user_message(
        "x", parts=[BlockPart(type="text", text=text)]
    ),
    "url of a part": lambda history, block, text: history.append_user_message(
        "x", parts=[BlockPart(type="image", url=text)]
    ),
}

# Everywhere that a name is taken.
NAMES: dict[str, Say] = {
    "type": lambda history, block, name: history.append(BlockDraft(type=name)),
    "role": lambda history, block, name: history.append(BlockDraft(role=name)),
    "author": lambda history, block, name: history.append_user_message("x", author=name),
    "run": lambda history, block, name: history.append_user_message("x", run_id=name),
    "key": lambda history, block, name: history.append_user_message("x", key=name),
    "kind of a tag": lambda history, block, name: history.append_user_message("x", tags=[Tag(kind=name, name="n")]),
    "name of a tag": lambda history, block, name: history.tag(block, Tag(kind="k", name=name)),
    "tag of a context": lambda history, block, name: history.tag_context(Tag(kind="k", name=name)),
    "name of a function": lambda history, block, name: history.append_function_call(name, {}),
    "call id": lambda history, block, name: history.append_function_call("f", {}, call_id=name),
    "call id of a result": lambda history, block, name: history.append_function_result("x", call_id=name),
    "media type": lambda history, block, name: history.append_user_message(
        "x", parts=[BlockPart(type="image", url="data:,", mime_type=name)]
    ),
    "name of a part": lambda history, block, name: history.append_user_message(
        "x", parts=[BlockPart(type="image", url="data:,", name=name)]
    ),
    "followed context": lambda history, block, name: log(history, context_id=name),
    "filter types": lambda history, block, name: history.get_messages(types=[name]),
    "filter roles": lambda history, block, name: history.count(roles=[name]),
    "filter authors": lambda history, block, name: history.since_last_user_message(authors=[name]),
    "filter run": lambda history, block, name: log(history, run=name),
    "filter tags": lambda history, block, name: history.get_messages(tags=[(name, "n")]),
    "filter tags by Tag": lambda history, block, name: history.get_messages(tags=[Tag(kind="k", name=name)]),
}

DATA: dict[str, tuple[Callable[[], Any], type[InvalidInput]]] = {
    "NaN": (lambda: float("nan"), InvalidData),
    "infinity": (lambda: [float("inf")], InvalidData),
    "minus infinity": (lambda: {"a": float("-inf")}, InvalidData),
    "65 bits": (lambda: 2**63, InvalidData),
    "65 bits below zero": (lambda: -(2**63) - 1, InvalidData),
    "a thousand digits": (lambda: [10**5000], InvalidData),
    "depth 101": (lambda: nested(101), LimitExceeded),
    "depth 100,000": (lambda: nested(100_000), LimitExceeded),
    "a list in itself": (lambda: _in_itself([]), LimitExceeded),
    "a dict in itself": (lambda: _in_itself({}), LimitExceeded),
    "a number as key": (lambda: {1: "a"}, InvalidData),
    "None as key": (lambda: {"a": [{None: 1}]}, InvalidData),
    "bytes": (lambda: b"x", InvalidData),
    "a set": (lambda: {1, 2}, InvalidData),
    "an object": (lambda: [object()], InvalidData),
    "a class": (lambda: int, InvalidData),
    "a complex number": (lambda: 1j, InvalidData),
}

# Everywhere that JSON is taken.
JSON_PLACES: dict[str, Callable[[AsyncHistory, Block, Any], Awaitable[object]]] = {
    "data": lambda history, block, value: history.append_user_message("x", data=value),
    "draft": lambda history, block, value: history.append([BlockDraft(), BlockDraft(data=value)]),
    "arguments": lambda history, block, value: history.append_function_call("f", value),
    "usage": lambda history, block, value: history.append_user_message("x", usage={"a": value}),
    "set usage": lambda history, block, value: history.set_usage(block, {"a": value}),
    "tag": lambda history, block, value: history.tag(block, Tag(kind="k", name="n", value=value)),
    "tag of a context": lambda history, block, value: history.tag_context(Tag(kind="k", name="n", value=value)),
    "tag of a draft": lambda history, block, value: history.append(
        BlockDraft(tags=(Tag(kind="k", name="n", value=value),))
    ),
}

SURROGATES = ["\ud800", "a\udfffb", "\udc80", "\ude00\ud83d"]

MISUSES: dict[str, Callable[[AsyncHistory], Awaitable[object]]] = {
    "no draft": lambda history: history.append(None),  # type: ignore[call-overload]
    "text for a draft": lambda history: history.append("hello"),  # type: ignore[arg-type]
    "text among drafts": lambda history: history.append([BlockDraft(), "hello"]),  # type: ignore[list-item]
    "no text": lambda history: history.append_user_message(None),  # type: ignore[arg-type]
    "bytes as text": lambda history: history.append_user_message(b"x"),  # type: ignore[arg-type]
    "an unknown option": lambda history: history.append_user_message("x", autor="me"),  # type: ignore[call-arg]
    "a number as author": lambda history: history.append_user_message("x", author=5),  # type: ignore[arg-type]
    "pairs for tags": lambda history: history.append_user_message("x", tags=[("k", "n")]),  # type: ignore[list-item]
    "a pair among tags": lambda history: history.append_user_message(
        "x",
        tags=[Tag(kind="k", name="n"), ("k", "n")],  # type: ignore[list-item]
    ),
    "no tags": lambda history: history.tag_context(),
    "upper case type": lambda history: history.append(BlockDraft(type="Message")),
    "a part with text and url": lambda history: history.append_user_message(
        "x", parts=[BlockPart(type="text", text="a", url="b")]
    ),
    "an image of nothing": lambda history: history.append_user_message("x", parts=[BlockPart(type="image")]),
    "a digest of one's own": lambda history: history.append_user_message(
        "x", parts=[BlockPart(type="file", url="data:,", digest="00")]
    ),
    "text as filter": lambda history: history.get_messages(types="message"),
    "a number as filter": lambda history: history.get_messages(types=5),  # type: ignore[arg-type]
    "a number as filter tags": lambda history: history.get_messages(tags=5),  # type: ignore[arg-type]
    "numbers in a filter": lambda history: history.count(roles=[5]),  # type: ignore[list-item]
    "half a tag": lambda history: history.get_messages(tags=[("k",)]),  # type: ignore[list-item]
    "an unknown state": lambda history: history.get_messages(states=["done"]),
    "a value in a filter's tag": lambda history: history.get_messages(tags=[Tag(kind="k", name="n", value=1)]),
    "too many tags in a filter": lambda history: history.get_messages(tags=[("k", str(n)) for n in range(1001)]),
    "a timeout below zero": lambda history: log(history, timeout=-1),
    "a timeout that is no number": lambda history: log(history, timeout=float("nan")),
    "a timeout without end": lambda history: log(history, timeout=10**400),
    "a number to follow after": lambda history: log(history, after=5),
    "usage that is no dict": lambda history: history.append_user_message("x", usage=[1]),  # type: ignore[arg-type]
}


def _in_itself(container: Any) -> Any:
    container.append(container) if isinstance(container, list) else container.update(a=container)
    return container


class Refusing(Part):
    """Text, names, JSON and parameters that cannot be taken."""

    @pytest.mark.parametrize("say", [*CONTENT.values(), *NAMES.values()], ids=[*CONTENT, *NAMES])
    async def test_a_lone_surrogate_is_refused_everywhere(self, history: AsyncHistory, say: Say) -> None:
        block = await history.append_user_message("before")
        async with unchanged(history):
            for text in SURROGATES:
                with pytest.raises(InvalidText) as refusal:
                    await say(history, block, text)
                str(refusal.value).encode()

    @pytest.mark.parametrize("say", NAMES.values(), ids=NAMES)
    async def test_a_name_that_is_none_is_refused_everywhere(self, history: AsyncHistory, say: Say) -> None:
        block = await history.append_user_message("before")
        async with unchanged(history):
            for name, error in (("", InvalidInput), ("a\0", InvalidText), ("a" * 1001, LimitExceeded)):
                with pytest.raises(error):
                    await say(history, block, name)

    @pytest.mark.parametrize(("make", "error"), DATA.values(), ids=DATA)
    @pytest.mark.parametrize("put", JSON_PLACES.values(), ids=JSON_PLACES)
    async def test_what_json_cannot_carry_is_refused_everywhere(
        self,
        history: AsyncHistory,
        put: Callable[[AsyncHistory, Block, Any], Awaitable[object]],
        make: Callable[[], Any],
        error: type[InvalidInput],
    ) -> None:
        block = await history.append_user_message("before")
        async with unchanged(history):
            with pytest.raises(error):
                await put(history, block, make())

    @pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
    async def test_parameters_of_the_wrong_kind_are_refused(
        self, history: AsyncHistory, misuse: Callable[[AsyncHistory], Awaitable[object]]
    ) -> None:
        await history.append_user_message("before")
        async with unchanged(history):
            with pytest.raises(InvalidInput):
                await misuse(history)

    @pytest.mark.parametrize("kind", ["", "Transcript", "all", "trace ", "\ud800", None, 5, ["trace"]], ids=ascii)
    async def test_an_unknown_kind_is_refused(self, history: AsyncHistory, kind: Any) -> None:
        await history.append_user_message("before")
        for read in (history.get_messages, history.count, history.since_last_user_message):
            with pytest.raises(UnknownKind):
                await read(kind=kind)
        with pytest.raises(UnknownKind):
            await log(history, kind=kind)

    @pytest.mark.parametrize(
        ("context", "error"),
        [
            ("", InvalidInput),
            ("a" * 1001, LimitExceeded),
            ("a\0b", InvalidText),
            ("\ud800", InvalidText),
            (None, InvalidInput),
            (5, InvalidInput),
            (b"c", InvalidInput),
            (["c"], InvalidInput),
            ({}, InvalidInput),
            ({"": "x"}, InvalidInput),
            ({"user": ""}, InvalidInput),
            ({"user": 5}, InvalidInput),
            ({5: "user"}, InvalidInput),
            ({"user": None}, InvalidInput),
            ({"user": "\ud800"}, InvalidText),
            ({"\ud800": "user"}, InvalidText),
            ({"user": "a\0"}, InvalidText),
            ({"user": "a" * 1001}, LimitExceeded),
            ({str(n): "x" for n in range(1001)}, LimitExceeded),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    async def test_a_name_of_a_context_that_is_none_is_refused(
        self, store: AsyncChatStore, context: Any, error: type[InvalidInput]
    ) -> None:
        with pytest.raises(error):
            store.history(context)
        assert await store.contexts() == []

    @pytest.mark.parametrize(
        "wanted",
        [
            {"keys": {"user": 5}},
            {"keys": {"user": "\ud800"}},
            {"keys": "user"},
            {"keys": 5},
            {"keys": {str(n): "x" for n in range(1001)}},
            {"tags": "topic"},
            {"tags": 5},
            {"tags": [("topic", "\ud800")]},
            {"tags": [("topic", str(n)) for n in range(1001)]},
            {"after": ""},
            {"after": 5},
            {"limit": -1},
            {"limit": None},
            {"limit": 2**63},
        ],
        ids=lambda wanted: ascii(wanted)[:30],
    )
    async def test_a_listing_of_the_wrong_kind_is_refused(self, store: AsyncChatStore, wanted: dict[str, Any]) -> None:
        await store.history({"user": "u1"}).append_user_message("x")
        with pytest.raises(InvalidInput):
            await store.contexts(**wanted)

    async def test_32_context_keys_and_tags_can_be_asked_for_at_once_and_no_more(self, store: AsyncChatStore) -> None:
        keys = {f"{n:02}": "x" for n in range(33)}
        tags = [Tag(kind="k", name=str(n)) for n in range(33)]
        history = store.history(keys)
        block = await history.append_user_message("x", tags=tags)
        asked = dict([*keys.items()][:32])
        assert [context.keys for context in await store.contexts(keys=asked)] == [keys]
        assert await history.get_messages(tags=tags[:32]) == [block]
        with pytest.raises(LimitExceeded):
            await store.contexts(keys=keys)
        with pytest.raises(LimitExceeded):
            await history.get_messages(tags=tags)

    async def test_more_than_a_limit_allows_is_refused(self, history: AsyncHistory) -> None:
        tags = [Tag(kind="k", name=str(n)) for n in range(1001)]
        block = await history.append_user_message("before", tags=tags[:1000])
        async with unchanged(history):
            with pytest.raises(LimitExceeded):
                await history.append_user_message("x", tags=tags)
            with pytest.raises(LimitExceeded):
                await history.tag(block, tags[1000])
            with pytest.raises(LimitExceeded):
                await history.append_user_message("x" * (64 * 1024 * 1024 + 1))
            with pytest.raises(LimitExceeded):
                await history.append([BlockDraft()] * 100_001)

    async def test_a_refused_first_write_makes_no_context(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        with pytest.raises(InvalidInput):
            await history.append_user_message("x", data=object())
        with pytest.raises(InvalidInput):
            await history.append_user_message("x", expect="nonsense")
        assert await store.contexts() == []
