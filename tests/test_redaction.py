"""Redaction in real stores: no secret reaches a file, however it is written, and what is promised of text stays so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatstore import (
    AsyncChatStore,
    BlockClosed,
    BlockDraft,
    ChatStore,
    InvalidInput,
    KeyConflict,
    Part,
    RedactionFailed,
    Redactor,
    Tag,
    TextAppended,
    collect,
    redact_secrets,
)

SECRET = "hunter2-correct-horse"
KEY = "sk-proj-" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
SAID = f"password={SECRET} and {KEY}!"
SHOWN = "password=[redacted] and sk-[redacted]!"


@pytest.fixture
def store(path: Path) -> Iterator[ChatStore]:
    with ChatStore(path, redact=redact_secrets) as opened:
        yield opened
    in_files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert SECRET.encode() not in in_files and KEY.encode() not in in_files


def test_every_text_of_a_block_is_redacted(store: ChatStore) -> None:
    draft = BlockDraft(
        role="user",
        text=SAID,
        data={"deep": [{"note": SAID, "password": SECRET}]},
        parts=[Part(type="text", text=SAID), Part(type="file", url=f"https://bob:{SECRET}@example.org/x")],
        tags=[Tag(kind="k", name="n", value={"why": SAID})],
    )
    block = store.history("c").append(draft)
    assert block.text == SHOWN
    assert block.data == {"deep": [{"note": SHOWN, "password": "[redacted]"}]}
    assert [block.parts[0].text, block.parts[1].url] == [SHOWN, "https://[redacted]@example.org/x"]
    assert block.tags[0].value == {"why": SHOWN}
    assert store.history("c").get_messages() == [block]


@pytest.mark.parametrize(
    "method", ["user_message", "assistant_message", "system_message", "status_message", "reasoning"]
)
def test_every_named_append_is_redacted(store: ChatStore, method: str) -> None:
    assert getattr(store.history("c"), f"append_{method}")(SAID).text == SHOWN


def test_arguments_and_results_of_calls_are_redacted_and_stay_json(store: ChatStore) -> None:
    history = store.history("c")
    call = history.append_function_call("login", {"user": "bob", "password": SECRET, "more": SAID}, call_id="call_1")
    assert call.text == '{"user":"bob","password":"[redacted]","more":"' + SHOWN + '"}'
    assert call.data["arguments"] == {"user": "bob", "password": "[redacted]", "more": SHOWN}
    told = history.append_function_call("login", f'{{"password" : "{SECRET}"}}', call_id="call_2")
    assert (told.text, told.data["arguments"]) == ('{"password" : "[redacted]"}', {"password": "[redacted]"})
    result = history.append_function_result(SAID, call=call)
    assert (result.text, result.data["call_id"], result.data["name"]) == (SHOWN, "call_1", "login")


def test_names_bytes_and_usage_are_stored_as_they_are(path: Path) -> None:
    with ChatStore(path, redact=lambda _: "-") as store:
        history = store.history({"user": "u"})
        draft = BlockDraft(
            type="function_call",
            author="who",
            data={"name": "f", "call_id": "1", "arguments": {"a": "b"}},
            parts=[Part(type="file", name="n", mime_type="m/n", content=b"bytes")],
            tags=[Tag(kind="k", name="n")],
            usage={"model": "m"},
        )
        block = history.append(draft, key="key")
        assert (block.author, block.data) == ("who", {"name": "f", "call_id": "1", "arguments": {"a": "-"}})
        assert (block.parts[0].name, block.tags[0], block.usage) == ("n", Tag(kind="k", name="n"), {"model": "m"})
        assert store.read_bytes(block.parts[0]) == b"bytes"
        assert history.append(draft, key="key") == block


@pytest.mark.parametrize("length", [1, 2, 5, 11])
def test_a_secret_in_tokens_is_redacted_for_every_subscriber(store: ChatStore, length: int) -> None:
    history = store.history("c")
    with history.open_message() as block:
        for at in range(0, len(SAID), length):
            block.write(SAID[at : at + length])
    changes = [*history.subscribe(follow=False)]
    assert [found.text for found in collect(changes)] == [SHOWN]
    end = 0
    for change in changes:
        if isinstance(change, TextAppended):
            assert change.offset == end
            end += len(change.text)


def test_flush_stores_all_but_what_may_be_a_secret(store: ChatStore) -> None:
    history = store.history("c")
    with history.open_message() as block:
        for text, stored in (
            ("The password", "The password"),
            (f"={SECRET[:5]}", "The password="),
            (SECRET[5:], "The password="),
            (", then", "The password=[redacted], then"),
        ):
            block.write(text)
            block.flush()
            assert [found.text for found in collect(history.subscribe(follow=False))] == [stored]
        block.write(f" {KEY}")
    assert history.get_messages()[0].text == "The password=[redacted], then sk-[redacted]"


def test_what_was_held_back_is_stored_with_the_end_of_a_run(store: ChatStore) -> None:
    history = store.history("c")
    with history.run():
        block = history.open_message()
        block.write(f"password={SECRET}")
    assert history.get_messages()[0].text == "password=[redacted]"


def test_a_writer_that_is_dropped_leaves_what_was_held_back_redacted(store: ChatStore) -> None:
    history = store.history("c")
    block = history.open_message()
    block.write(f"password={SECRET}")
    del block
    with history.subscribe(timeout=30) as changes:
        assert any(isinstance(change, BlockClosed) for change in changes)
    assert history.get_messages()[0].text == "password=[redacted]"


def test_tags_that_are_added_later_are_redacted(store: ChatStore) -> None:
    history = store.history("c")
    block = history.append_user_message("x")
    assert history.tag(block, Tag(kind="k", name="n", value=SAID)).tags[0].value == SHOWN
    history.tag_context(Tag(kind="k", name="n", value={"password": SECRET}))
    assert store.contexts()[0].tags[0].value == {"password": "[redacted]"}


def test_what_a_block_ends_with_is_redacted(store: ChatStore) -> None:
    history = store.history("c")
    assert history.open_message().close(data={"said": SAID}).data == {"said": SHOWN}
    with pytest.raises(ValueError), history.open_message() as block:
        block.write("x")
        raise ValueError(SAID)
    assert history.get_messages()[1].data == {"error": {"type": "ValueError", "message": SHOWN}}


def test_the_error_and_the_traceback_of_a_run_are_redacted(store: ChatStore) -> None:
    history = store.history("c")
    with pytest.raises(ValueError), history.run():
        raise ValueError(SAID)
    [run] = history.runs()
    assert run.error is not None and run.error.message == SHOWN


def test_a_run_ends_also_when_its_error_cannot_be_redacted(path: Path) -> None:
    def redact(text: str) -> str:
        raise ValueError(text)

    with ChatStore(path, redact=redact) as store:
        history = store.history("c")
        with pytest.raises(RedactionFailed), history.run():
            history.append_user_message(SAID)
        assert [(run.state, run.error.message) for run in history.runs() if run.error] == [("failed", "[redacted]")]
    assert SECRET.encode() not in path.read_bytes()


def test_text_that_cannot_be_redacted_is_refused_and_nothing_is_stored(path: Path) -> None:
    def redact(text: str) -> Any:
        if "surrogate" in text:
            return "\ud800"
        return {"five": 5}[text] if text in ("five", "six") else text

    with ChatStore(path, redact=redact) as store:
        history = store.history("c")
        for text, said in (
            ("six", "raised KeyError"),
            ("five", "returned int"),
            ("surrogate", "returned text .* lone surrogate"),
        ):
            with pytest.raises(RedactionFailed, match=said):
                history.append([BlockDraft(text="before"), BlockDraft(text=text)])
        assert history.count() == 0


def test_a_writer_goes_on_behind_text_that_cannot_be_redacted(path: Path) -> None:
    def redact(text: str) -> str:
        return text if "bad" not in text else str(1 / 0)

    with ChatStore(path, redact=redact) as store:
        with store.history("c").open_message() as block:
            block.write("a b")
            with pytest.raises(RedactionFailed):
                block.write("ad c")
            block.write(" d ba")
            block.write("d")
        assert store.history("c").get_messages()[0].text == "a b d [redacted]"


def test_a_key_stands_for_what_is_stored(store: ChatStore) -> None:
    history = store.history("c")
    first = history.append_user_message(SAID, key="k")
    assert history.append_user_message(SAID, key="k") == first
    assert history.append_user_message(SHOWN, key="k") == first
    with pytest.raises(KeyConflict):
        history.append_user_message("else", key="k")


def test_stores_of_one_process_redact_alike(path: Path, store: ChatStore) -> None:
    for other in (None, Redactor(["x"])):
        with pytest.raises(InvalidInput, match="redact="):
            ChatStore(path, redact=other)
    with pytest.raises(InvalidInput):
        ChatStore(path, redact="x")  # type: ignore[arg-type]
    for coroutine in (_agent, partial(_agent, _prompt="x"), _Callable()):
        with pytest.raises(InvalidInput, match="a coroutine function"):
            ChatStore(path, redact=coroutine)  # type: ignore[arg-type]


async def test_an_async_store_redacts_too(path: Path) -> None:
    async with AsyncChatStore(path, redact=redact_secrets) as store:
        history = store.history("c")
        assert (await history.append_user_message(SAID)).text == SHOWN
        async with history.open_message() as block:
            for character in SAID:
                await block.write(character)
            await block.flush()
        assert [found.text for found in await history.get_messages()] == [SHOWN] * 2
        block = await history.append_user_message("x")
        assert (await history.tag(block, Tag(kind="k", name="n", value=SAID))).tags[0].value == SHOWN
        with pytest.raises(ValueError):
            async with history.run(), history.open_message():
                raise ValueError(SAID)
        assert (await history.runs())[0].error.message == SHOWN  # type: ignore[union-attr]
        assert (await history.get_messages(last=1))[0].data["error"]["message"] == SHOWN
        handle = await store.submit(_agent, SAID)
        assert await handle.result() == SHOWN


class _Callable:
    async def __call__(self, text: str) -> str:
        return text


async def _agent(history: Any, _prompt: str) -> str:
    return str((await history.get_messages())[0].text)
