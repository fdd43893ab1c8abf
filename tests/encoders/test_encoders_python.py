"""What Python's packages for these protocols say of the events: ag-ui-protocol, openai."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import openai
import pytest
from ag_ui.core import Event
from live_writing import broken
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter
from real_conversations import conversations, write

from chatstore import ChatStore, History
from chatstore.encoders import AguiEncoder, OpenAIChunkEncoder

FILES = ["tau_bench_airline_gpt4o.jsonl.gz", "who_when_magentic_one.jsonl.gz", "pydantic_ai_openai_chat.jsonl.gz"]
AG_UI: TypeAdapter[Any] = TypeAdapter(Event)


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_ag_uis_own_models_take_every_event_and_write_it_as_it_is(history: History, file: str) -> None:
    for drafts in conversations(file, 5):
        write(history, drafts[:40])
    encoder = AguiEncoder("c")
    joined = AguiEncoder("c").join(history.get_messages(), history.runs(), history.head())
    replayed = [event for change in history.subscribe(follow=False) for event in encoder.encode(change)]
    for _, event in [*joined, *replayed]:
        parsed = AG_UI.validate_python(event)
        assert not _extras(parsed)
        assert parsed.model_dump(mode="json", by_alias=True) == event


def _extras(parsed: Any) -> set[str]:
    """Fields that the protocol does not know, which its models keep."""
    return {*(parsed.model_extra or {})}


@pytest.mark.parametrize("file", FILES)
def test_openais_client_reads_a_run_as_one_message(history: History, file: str) -> None:
    [drafts] = conversations(file, 1)
    for run_id in write(history, drafts[:60]):
        chunks = read_with_openai(encoded(history, run_id))
        blocks = [block for block in history.get_messages(run=run_id) if block.role == "assistant"]
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        assert text == "\n\n".join(block.text for block in blocks if block.type == "message" and block.text)
        calls: dict[int, Any] = {}
        for delta in (call for chunk in chunks for one in chunk.choices for call in one.delta.tool_calls or ()):
            known = calls.setdefault(delta.index, [delta.function.name, delta.id, ""])
            known[2] += delta.function.arguments
        stored = [[b.data["name"], b.data["call_id"], b.text] for b in blocks if b.type == "function_call"]
        assert [*calls.values()] == stored
        assert [one.finish_reason for chunk in chunks for one in chunk.choices][-1] in ("stop", "tool_calls")


def test_openais_client_is_told_of_usage_and_of_calls_that_wait_for_an_answer(history: History) -> None:
    with history.run() as run:
        history.append_function_call("look", {}, call_id="call_1")
        history.append_function_call("look", {}, call_id="call_1")
        run.set_usage({"input_tokens": 3, "output_tokens": 4, "cached_tokens": 1})
    *_, finish, usage = read_with_openai(encoded(history, run.id))
    assert finish.choices[0].finish_reason == "tool_calls"
    assert usage.usage is not None and usage.usage.total_tokens == 7
    ids = [call["id"] for chunk in encoded(history, run.id) for call in _calls(chunk) if "id" in call]
    assert ids[0] == "call_1" and len({*ids}) == 2


@pytest.mark.parametrize("how", ["failed", "interrupted"])
def test_openais_client_raises_where_a_run_failed(history: History, how: str) -> None:
    run_id = broken(history, "half of", how)
    with pytest.raises(openai.APIError) as raised:
        read_with_openai(encoded(history, run_id))
    assert raised.value.code == how


def encoded(history: History, run_id: str) -> list[dict[str, Any]]:
    encoder = OpenAIChunkEncoder(run_id)
    changes = history.subscribe(run=run_id, follow=False)
    return [chunk for change in changes for chunk in encoder.encode(change)]


def _calls(chunk: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (call for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ()))


def read_with_openai(chunks: list[dict[str, Any]]) -> list[ChatCompletionChunk]:
    """What the stream parser of the package makes of a response."""
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in [*chunks]) + "data: [DONE]\n\n"
    request = httpx.Request("GET", "http://127.0.0.1/chunks")
    response = httpx.Response(200, content=body.encode(), request=request)
    with openai.OpenAI(api_key="none", base_url="http://127.0.0.1") as client:
        stream = openai.Stream[ChatCompletionChunk](cast_to=ChatCompletionChunk, response=response, client=client)
        return [ChatCompletionChunk.model_validate(chunk.model_dump()) for chunk in stream]
