"""The providers' own clients, for threads and event loops, against a local server that speaks as they do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

import anthropic
import frames
import openai
import pytest
from provider_server import CHAT, DEADLINE, HOLD, Provider, serving
from recorder_promises import shape

from chatstore import AsyncChatStore, ChatStore
from chatstore.recorders import record

ASK: Any = [{"role": "user", "content": "What is it?"}]
STREAMS = {"chat": CHAT, "responses": frames.RESPONSES, "messages": frames.MESSAGE}
KINDS = [*STREAMS, *(f"{name} helper" for name in STREAMS)]
FIRST_TEXT = {"chat": 3, "responses": 10, "messages": 8}
"""How many frames of each stream there are up to its first text."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as server:
        yield server


def asked(client: Any, kind: str) -> Any:
    """A request for a stream; the helper's is a context manager, the other a stream, or awaited to be one."""
    match kind:
        case "chat":
            return client.chat.completions.create(model="gpt-x", messages=ASK, stream=True)
        case "chat helper":
            return client.chat.completions.stream(model="gpt-x", messages=ASK)
        case "responses":
            return client.responses.create(model="gpt-x", input="What is it?", stream=True)
        case "responses helper":
            return client.responses.stream(model="gpt-x", input="What is it?")
        case "messages":
            return client.messages.create(model="claude-x", max_tokens=99, messages=ASK, stream=True)
        case _:
            return client.messages.stream(model="claude-x", max_tokens=99, messages=ASK)


def client_of(kind: str, provider: Provider) -> AbstractContextManager[Any]:
    if kind.startswith("messages"):
        return anthropic.Anthropic(api_key="none", base_url=provider.url, max_retries=0)
    return openai.OpenAI(api_key="none", base_url=f"{provider.url}/v1", max_retries=0)


def async_client_of(kind: str, provider: Provider) -> AbstractAsyncContextManager[Any]:
    if kind.startswith("messages"):
        return anthropic.AsyncAnthropic(api_key="none", base_url=provider.url, max_retries=0)
    return openai.AsyncOpenAI(api_key="none", base_url=f"{provider.url}/v1", max_retries=0)


def read(kind: str, provider: Provider, store: ChatStore | None, **options: Any) -> list[Any]:
    """All events of a request, recorded where there is a store."""
    with client_of(kind, provider) as client:
        request = asked(client, kind)
        with request as stream:
            return [*(stream if store is None else record(stream, store.history("c"), **options))]


async def read_async(kind: str, provider: Provider, store: AsyncChatStore | None, **options: Any) -> list[Any]:
    async with async_client_of(kind, provider) as client:
        request = asked(client, kind)
        async with request if kind.endswith("helper") else await request as stream:
            events = stream if store is None else record(stream, store.history("c"), **options)
            return [event async for event in events]


@pytest.mark.parametrize("kind", KINDS)
def test_events_equal_those_without_a_recorder(kind: str, provider: Provider, tmp_path: Path) -> None:
    stream = STREAMS[kind.split()[0]]
    provider.streams.extend([stream] * 4)
    with ChatStore(tmp_path / "sync.db") as store:
        assert read(kind, provider, store, strict=True) == read(kind, provider, None)
        history = store.history("c")
        [run], blocks = history.runs(), history.get_messages(kind="trace")
    assert run.state == "completed"

    async def on_a_loop() -> None:
        async with AsyncChatStore(tmp_path / "async.db") as store:
            recorded = await read_async(kind, provider, store, strict=True)
            assert recorded == await read_async(kind, provider, None)
            history = store.history("c")
            [other] = await history.runs()
            assert (run.state, run.usage) == (other.state, other.usage)
            assert shape(await history.get_messages(kind="trace")) == shape(blocks)

    asyncio.run(on_a_loop())


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_stored_while_the_stream_is_held(kind: str, provider: Provider, store: ChatStore) -> None:
    """Another subscriber has the text before the next event is there."""
    name = kind.split()[0]
    stream = STREAMS[name]
    provider.streams.append([*stream[: FIRST_TEXT[name]], HOLD, *stream[FIRST_TEXT[name] :]])
    history = store.history("c")
    with client_of(kind, provider) as client, asked(client, kind) as events:
        recording = record(events, history)
        text_so_far(recording, kind)
        with history.subscribe(timeout=DEADLINE, types=["message"]) as changes:
            assert any(getattr(change, "text", "") == "Hel" for change in changes)
        provider.go_on.set()
        assert [*recording]
    assert [block.text for block in history.get_messages(kind="transcript")] == ["Hello"]


@pytest.mark.parametrize("kind", KINDS)
def test_closing_a_recording_closes_the_connection(kind: str, provider: Provider, store: ChatStore) -> None:
    name = kind.split()[0]
    provider.streams.append([*STREAMS[name][: FIRST_TEXT[name]], HOLD])
    history = store.history("c")
    with client_of(kind, provider) as client:
        request = asked(client, kind)
        events = request.__enter__()
        with record(events, history) as recording:
            text_so_far(recording, kind)
            assert provider.held.wait(DEADLINE)
        assert provider.gone.wait(DEADLINE)
    assert [run.state for run in history.runs()] == ["cancelled"]
    assert [(block.text, block.state) for block in history.get_messages(kind="transcript")] == [("Hel", "cancelled")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_closing_an_asynchronous_recording_closes_the_connection(
    kind: str, how: str, provider: Provider, path: Path
) -> None:
    """So does a task that is cancelled as it waits for the next event."""
    name = kind.split()[0]
    provider.streams.append([*STREAMS[name][: FIRST_TEXT[name]], HOLD])

    async def on_a_loop() -> None:
        async with AsyncChatStore(path) as store, async_client_of(kind, provider) as client:
            request = asked(client, kind)
            events = await (request.__aenter__() if kind.endswith("helper") else request)
            async with record(events, store.history("c")) as recording:
                if how == "cancel":
                    reading = asyncio.create_task(_all(recording))
                    async with store.history("c").subscribe(timeout=DEADLINE, types=["message"]) as changes:
                        assert await anext(changes)
                    reading.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await reading
                else:
                    async for event in recording:
                        if says(event, kind):
                            break
            assert await asyncio.to_thread(provider.gone.wait, DEADLINE)

    asyncio.run(on_a_loop())
    with ChatStore(path) as store:
        assert [run.state for run in store.history("c").runs()] == ["cancelled"]


async def _all(recording: Any) -> None:
    async for _ in recording:
        pass


def text_so_far(recording: Any, kind: str) -> None:
    """Reads up to the first text."""
    for event in recording:
        if says(event, kind):
            return
    raise AssertionError("there is no text")


def says(event: Any, kind: str) -> bool:
    """Whether an event of the provider's server brings the first text."""
    chunk = getattr(event, "chunk", event) if kind.startswith("chat") else None
    if chunk is not None:
        return any(choice.delta.content for choice in getattr(chunk, "choices", ()))
    return event.type == "response.output_text.delta" or (
        event.type == "content_block_delta" and event.delta.type == "text_delta"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_the_server_in_the_middle(kind: str, provider: Provider, store: ChatStore) -> None:
    """P4: raised as without a recorder, or an event; the run has failed either way, and the text is there."""
    name = kind.split()[0]
    error: Any = {"error": {"message": "server overloaded", "type": "server_error", "code": None}}
    if name == "responses":
        error = {"type": "error", "code": "server_error", "message": "boom", "param": None, "sequence_number": 10}
    elif name == "messages":
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    stream = [*STREAMS[name][: FIRST_TEXT[name]], error]
    provider.streams.extend([stream, stream])
    if name == "responses":
        assert read(kind, provider, store) == read(kind, provider, None)
    else:
        expected: Any = anthropic.APIStatusError if name == "messages" else openai.APIError
        with pytest.raises(expected) as without:
            read(kind, provider, None)
        with pytest.raises(expected) as raised:
            read(kind, provider, store)
        assert str(raised.value) == str(without.value)
    [run] = store.history("c").runs()
    assert run.state == "failed"
    assert run.error is not None
    assert any(word in run.error.message for word in ("server overloaded", "server_error: boom", "Overloaded"))
    assert [(block.text, block.state) for block in store.history("c").get_messages(kind="transcript")] == [
        ("Hel", "failed")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_goes_away_in_the_middle(kind: str, provider: Provider, store: ChatStore) -> None:
    """P4: the packages end such a stream without a word, and the run has failed all the same."""
    name = kind.split()[0]
    provider.streams.append(STREAMS[name][: FIRST_TEXT[name]])
    assert read(kind, provider, store)
    [run] = store.history("c").runs()
    assert run.state == "failed"
    assert run.error is not None
    assert run.error.type == "StreamTruncated"
    assert [(block.text, block.state) for block in store.history("c").get_messages(kind="transcript")] == [
        ("Hel", "failed")
    ]


def test_a_task_that_is_cancelled_at_once_closes_the_connection(provider: Provider, path: Path) -> None:
    """Wherever it is by then: also while the run begins, before anything was read."""
    provider.streams.extend([[*frames.MESSAGE[:8], HOLD]] * 10)

    async def on_a_loop() -> None:
        async with AsyncChatStore(path) as store, async_client_of("messages", provider) as client:
            for turns in range(10):
                provider.gone.clear()
                events = await asked(client, "messages")
                reading = asyncio.create_task(_all(record(events, store.history("c"))))
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                if turns:  # else it was never begun
                    assert await asyncio.to_thread(provider.gone.wait, DEADLINE)
                await events.close()

    asyncio.run(on_a_loop())
    with ChatStore(path) as store:
        assert {run.state for run in store.history("c").runs()} <= {"cancelled"}


def test_a_request_that_is_refused_is_no_affair_of_a_recorder(provider: Provider, store: ChatStore) -> None:
    """What was not awaited, or not entered, is told so."""
    history = store.history("c")
    with client_of("chat helper", provider) as client, pytest.raises(Exception, match="enter it by `with`, first"):
        record(asked(client, "chat helper"), history)
    assert history.runs() == []
