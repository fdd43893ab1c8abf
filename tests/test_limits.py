"""Limits of a store: each with its default, its own answer, and the parameter that changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from chatstore import (
    AsyncChatStore,
    BlockDraft,
    ChatStore,
    History,
    InvalidInput,
    LimitExceeded,
    Limits,
    Part,
    Tag,
)
from chatstore.growing_requests import CUT
from chatstore.testing.conformance.content import nested

SMALL = Limits(block_bytes=200, batch=3, tags=2, parts=2, depth=2, name=64, subscribers=2)


def tags(number: int) -> list[Tag]:
    return [Tag(kind="k", name=str(n)) for n in range(number)]


def parts(number: int) -> list[Part]:
    return [Part(type="text", text="x")] * number


def sized_tag(size: int, name: str = "n") -> Tag:
    return Tag(kind="k", name=name, value="x" * size)


TOO_MUCH: dict[str, tuple[str, Callable[[History], object], Callable[[History], object]]] = {
    "text": ("block_bytes", lambda h: h.append_user_message("é" * 100), lambda h: h.append_user_message("é" * 101)),
    "data": (
        "block_bytes",
        lambda h: h.append_user_message("x" * 100, data="x" * 98),
        lambda h: h.append_user_message("x" * 100, data="x" * 99),
    ),
    "bytes": (
        "block_bytes",
        lambda h: h.append_user_message("", parts=[Part(type="file", content=b"x" * 200)]),
        lambda h: h.append_user_message("", parts=[Part(type="file", content=b"x" * 201)]),
    ),
    "batch": ("batch", lambda h: h.append([BlockDraft()] * 3), lambda h: h.append([BlockDraft()] * 4)),
    "tags": (
        "tags",
        lambda h: h.append_user_message("", tags=tags(2)),
        lambda h: h.append_user_message("", tags=tags(3)),
    ),
    "tags that are added": (
        "tags",
        lambda h: h.tag(h.append_user_message("", tags=tags(1)), *tags(2)),
        lambda h: h.tag(h.get_messages()[0], Tag(kind="k", name="other")),
    ),
    "tags of a context": (
        "tags",
        lambda h: h.tag_context(*tags(2)),
        lambda h: h.tag_context(Tag(kind="k", name="other")),
    ),
    "the size of tags that are added": (
        "block_bytes",
        lambda h: h.tag(h.append_user_message("x" * 100), sized_tag(50)),
        lambda h: h.tag(h.get_messages()[0], sized_tag(80)),
    ),
    "the size of tags of a context": (
        "block_bytes",
        lambda h: h.tag_context(sized_tag(100)),
        lambda h: h.tag_context(sized_tag(100, "other")),
    ),
    "the size of usage that is set": (
        "block_bytes",
        lambda h: h.set_usage(h.append_user_message("x" * 100), {"a": "x" * 90}),
        lambda h: h.set_usage(h.get_messages()[0], {"a": "x" * 93}),
    ),
    "usage that is set": (
        "depth",
        lambda h: h.set_usage(h.append_user_message(""), {"a": [1]}),
        lambda h: h.set_usage(h.get_messages()[0], {"a": [[1]]}),
    ),
    "parts": (
        "parts",
        lambda h: h.append_user_message("", parts=parts(2)),
        lambda h: h.append_user_message("", parts=parts(3)),
    ),
    "depth": (
        "depth",
        lambda h: h.append_user_message("", data=nested(2)),
        lambda h: h.append_user_message("", data=nested(3)),
    ),
    "arguments": (
        "depth",
        lambda h: h.append_function_call("f", {}),
        lambda h: h.append_function_call("f", nested(3)),
    ),
    "usage": (
        "depth",
        lambda h: h.append_user_message("", usage={"a": [1]}),
        lambda h: h.append_user_message("", usage={"a": [[1]]}),
    ),
    "key": (
        "name",
        lambda h: h.append_user_message("", key="k" * 64),
        lambda h: h.append_user_message("", key="k" * 65),
    ),
    **{
        name: (
            "name",
            lambda h, name=name: h.append(BlockDraft(**{name: "n" * 64})),  # type: ignore[misc]
            lambda h, name=name: h.append(BlockDraft(**{name: "n" * 65})),  # type: ignore[misc]
        )
        for name in ("type", "role", "author", "run_id")
    },
    "tag's name": (
        "name",
        lambda h: h.append_user_message("", tags=[Tag(kind="k", name="n" * 64)]),
        lambda h: h.append_user_message("", tags=[Tag(kind="k", name="n" * 65)]),
    ),
    "context id": ("name", lambda h: h._store.history("c" * 64), lambda h: h._store.history("c" * 65)),
    "context key": (
        "name",
        lambda h: h._store.history({"k": "v" * 64}),
        lambda h: h._store.history({"k": "v" * 65}),
    ),
    "context keys": (
        "tags",
        lambda h: h._store.history({"a": "1", "b": "2"}),
        lambda h: h._store.history({"a": "1", "b": "2", "c": "3"}),
    ),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_a_limit_allows_is_stored_and_one_more_is_refused_by_its_name(path: Path, what: str) -> None:
    limit, most, more = TOO_MUCH[what]
    with ChatStore(path, limits=SMALL) as store:
        history = store.history("c")
        most(history)
        head = history.head()
        value = getattr(SMALL, limit)
        with pytest.raises(LimitExceeded, match=rf"at most {value}, .*limits=Limits\({limit}=…\)") as refused:
            more(history)
        assert (refused.value.limit, refused.value.value) == (limit, value)
        assert history.head() == head


def test_an_open_block_has_the_limit_of_every_block(path: Path) -> None:
    with ChatStore(path, limits=SMALL) as store:
        with store.history("c").open_message() as writer:
            writer.write("é" * 60)
            with pytest.raises(LimitExceeded, match="an open block of 240 bytes") as refused:
                writer.write("é" * 60)
            assert (refused.value.limit, refused.value.value) == ("block_bytes", 200)
            writer.write("y" * 80)
        assert store.history("c").get_messages()[0].text == "é" * 60 + "y" * 80


def test_data_that_is_set_with_the_end_of_a_block_has_the_limit_too(path: Path) -> None:
    with ChatStore(path, limits=SMALL) as store:
        block = store.history("c").open_message()
        with pytest.raises(LimitExceeded, match="at most 2"):
            block.close(data=[[[1]]])
        assert block.close(data=[[1]]).data == [[1]]


def test_a_call_is_the_same_however_its_arguments_come(path: Path) -> None:
    with ChatStore(path, limits=SMALL) as store:
        history = store.history("c")
        for text, arguments in (('{"a": 1}', {"a": 1}), ('{"a": [1]}', None), ("[" * 100, None)):
            whole = history.append_function_call("f", text)
            with history.open_block("function_call") as grown:
                grown.write(text)
            with history.run():
                history.open_block("function_call").write(text)
            for block in (whole, *history.get_messages(last=2)):
                assert (block.text, block.data["arguments"], block.state) == (text, arguments, "closed")


def test_a_block_that_grew_larger_than_one_may_be_ends_failed_with_its_text(path: Path) -> None:
    said = f'"{"x" * 100}"'
    with ChatStore(path, limits=SMALL) as store:
        history = store.history("c")
        with pytest.raises(LimitExceeded, match="at most 200"):
            history.append_function_call("f", said)
        with pytest.raises(LimitExceeded, match="at most 200"), history.open_block("function_call") as block:
            block.write(said)
        with pytest.raises(LimitExceeded, match="at most 200"), history.open_message() as block:
            block.write(said)
            block.close(usage={"a": "x" * 100})
        for failed in history.get_messages():
            assert (failed.text, failed.state, failed.data["error"]["type"]) == (said, "failed", "LimitExceeded")


def test_a_block_may_end_as_deep_as_the_store_allows(path: Path) -> None:
    with ChatStore(path, limits=Limits(depth=150), redact=lambda text: text) as store:
        history = store.history("c")
        assert history.open_message().close(data=nested(150)).data == nested(150)
        assert history.append_function_call("f", nested(149)).data["arguments"] == nested(149)


def test_the_usage_of_a_run_is_held_to_the_limits(path: Path) -> None:
    with ChatStore(path, limits=SMALL) as store, store.history("c").run() as run:
        for usage, limit in (({"a": [[1]]}, "depth"), ({"a": "x" * 200}, "block_bytes")):
            with pytest.raises(LimitExceeded) as refused:
                run.set_usage(usage)
            assert refused.value.limit == limit
        run.set_usage({"a": [1]})


def test_an_error_is_cut_and_never_lost(path: Path) -> None:
    with ChatStore(path, limits=SMALL) as store:
        history = store.history("c")
        with pytest.raises(ValueError), history.run(), history.open_message():
            raise ValueError("é" * 200)
        [run] = history.runs()
        assert run.error is not None and run.error.message == "é" * 97 + CUT
        assert history.get_messages()[0].data["error"] == {"type": "ValueError", "message": run.error.message}
    with ChatStore(path) as store:
        with pytest.raises(ValueError), store.history("d").run():
            raise ValueError("x" * 2_000_000)
        [run] = store.history("d").runs()
        assert run.error is not None and len(run.error.message) == 1_000_000 and run.error.message.endswith(CUT)


def test_subscriptions_that_ended_or_were_dropped_do_not_count(path: Path) -> None:
    with ChatStore(path, limits=SMALL) as store:
        history = store.history("c")
        first, second = store.subscribe(), history.subscribe()
        with pytest.raises(LimitExceeded, match=r"3 subscriptions open .* at most 2, .*subscribers=…"):
            history.subscribe()
        first.close()
        third = history.subscribe()
        with pytest.raises(LimitExceeded):
            store.subscribe()
        del second
        fourth = history.subscribe(follow=False)
        assert [*fourth] == []
        fifth = history.subscribe()
        third.close()
        fifth.close()


async def test_an_async_store_has_the_same_limits(path: Path) -> None:
    async with AsyncChatStore(path, limits=SMALL) as store:
        history = store.history("c")
        first, second = store.subscribe(), history.subscribe()
        with pytest.raises(LimitExceeded):
            history.subscribe()
        await first.close()
        third = history.subscribe()
        for refused in (history.append_user_message("x" * 201), history.append([BlockDraft()] * 4)):
            with pytest.raises(LimitExceeded):
                await refused
        async with history.open_message() as writer:
            with pytest.raises(LimitExceeded):
                await writer.write("x" * 201)
        await second.close()
        await third.close()


def test_more_can_be_allowed_than_by_default(path: Path) -> None:
    with ChatStore(path, limits=Limits(depth=200, tags=1_500, parts=1_500, block_bytes=100_000_000)) as store:
        block = store.history("c").append_user_message("x", data=nested(200), tags=tags(1_500), parts=parts(1_500))
        assert store.history("c").get_messages() == [block]
        assert block.data == nested(200) and len(block.tags) == len(block.parts) == 1_500


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, 10**10])
def test_a_limit_is_a_number_within_what_the_store_can_keep(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"Limits\({name}=…\) takes an integer from "):
        Limits(**{name: value})


def test_stores_of_one_process_have_the_same_limits(path: Path) -> None:
    with ChatStore(path, limits=SMALL):
        with pytest.raises(InvalidInput, match="limits="):
            ChatStore(path)
        ChatStore(
            path, limits=Limits(block_bytes=200, batch=3, tags=2, parts=2, depth=2, name=64, subscribers=2)
        ).close()
    with pytest.raises(InvalidInput, match="limits= takes Limits"):
        ChatStore(path, limits={"name": 5})  # type: ignore[arg-type]
