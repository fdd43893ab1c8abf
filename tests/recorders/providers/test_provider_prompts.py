"""What was recorded of one provider is a prompt for the other, and for itself again."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import frames
import httpx2
import openai
import pytest
import sdk_events
from frames import chunk, content, piece, tool_content
from provider_rules import as_plain, check_anthropic, check_openai, types

from chatstore import Block, ChatStore, History, to_anthropic, to_openai
from chatstore.recorders import record


def record_all(history: History, *streams: list[Any]) -> None:
    for number, events in enumerate(streams):
        list(record(events, history, prompt=f"Question {number}", strict=True))


def answer(history: History, text: str = "5") -> None:
    """Results for all calls that have none."""
    blocks = history.get_messages(kind="trace")
    answered = {block.parent_id for block in blocks}
    for call in blocks:
        if call.type == "function_call" and call.id not in answered:
            history.append_function_result(text, call=call)


def check_both(store: ChatStore, blocks: list[Block]) -> None:
    assert types() is not None, "the packages are installed here"
    check_openai(to_openai(blocks, store.read_bytes))
    check_anthropic(to_anthropic(blocks, store.read_bytes))


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("kind", ["prompt", "trace"])
@pytest.mark.parametrize("turned", [False, True])
def test_two_providers_write_one_history(store: ChatStore, answered: bool, kind: str, turned: bool) -> None:
    """One after the other, in either order; both take what comes of it."""
    makers = [sdk_events.whole_chat, sdk_events.whole_message, sdk_events.whole_response]
    history = store.history("c")
    for maker in makers[::-1] if turned else makers:
        record_all(history, maker())
        if answered:
            answer(history)
    check_both(store, history.get_messages(kind=kind))


@pytest.mark.parametrize("kept", range(1, 16))
@pytest.mark.parametrize("maker", ["whole_chat", "whole_response", "whole_message"])
def test_what_a_cut_stream_leaves_is_a_prompt(store: ChatStore, maker: str, kept: int) -> None:
    events = getattr(sdk_events, maker)()[:kept]
    history = store.history("c")
    list(record(events, history, prompt="What is it?"))
    check_both(store, history.get_messages(kind="prompt"))
    check_both(store, history.get_messages(kind="trace"))


def test_thoughts_go_back_to_anthropic_as_they_came(store: ChatStore) -> None:
    """P5: signed or sealed, in their order and before the call, as the API demands in the middle of a turn."""
    stream = [
        frames.message_start(),
        *frames.thinking_content(0, "sig-1", "first"),
        *content(1, {"type": "redacted_thinking", "data": "sealed"}),
        *frames.thinking_content(2, "sig-2"),
        *frames.text_content(3, "Let me see."),
        *tool_content(4, "toolu_1", "add", '{"a": 2}'),
        *frames.message_end("tool_use"),
    ]
    history = store.history("c")
    record_all(history, sdk_events.messages(stream))
    answer(history)
    prompt = to_anthropic(history.get_messages(kind="trace"))
    check_anthropic(prompt)
    assert prompt["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "first", "signature": "sig-1"},
        {"type": "redacted_thinking", "data": "sealed"},
        {"type": "thinking", "thinking": "", "signature": "sig-2"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2}},
    ]
    assert "thinking" not in str(to_anthropic(history.get_messages(kind="prompt")))


def test_thoughts_that_were_cut_go_to_nobody(store: ChatStore) -> None:
    """Without a signature they are refused."""
    history = store.history("c")
    record_all(history, sdk_events.messages(frames.MESSAGE[:4]))
    prompt = to_anthropic(history.get_messages(kind="trace"))
    assert [message["role"] for message in prompt["messages"]] == ["user"]
    check_anthropic(prompt)


def test_a_call_of_a_custom_tool_goes_back_to_openai_as_one(store: ChatStore) -> None:
    custom = {"index": 0, "id": "call_a", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}
    stream = [chunk({"tool_calls": [custom]}), chunk(piece(1, "{}", "call_b", "now")), chunk({}, "tool_calls")]
    history = store.history("c")
    record_all(history, sdk_events.chat(stream))
    answer(history)
    blocks = history.get_messages(kind="prompt")
    check_both(store, blocks)
    assert to_openai(blocks)[1]["tool_calls"] == [
        {"id": "call_a", "type": "custom", "custom": {"name": "run", "input": "print(1)"}},
        {"id": "call_b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]


def test_the_clients_send_what_comes_of_it(store: ChatStore) -> None:
    """The packages themselves make requests of the prompts, and what arrives is what was given."""
    history = store.history("c")
    record_all(history, sdk_events.whole_chat(), sdk_events.whole_message())
    blocks = history.get_messages(kind="prompt")
    sent: list[Any] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        sent.append(as_plain(json.loads(request.content)))
        return httpx2.Response(400, json={"error": {"message": "enough"}})

    http = httpx2.Client(transport=httpx2.MockTransport(keep))
    with openai.OpenAI(api_key="none", http_client=http) as client, pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-x", messages=to_openai(blocks))
    http = httpx2.Client(transport=httpx2.MockTransport(keep))
    with anthropic.Anthropic(api_key="none", http_client=http) as client, pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="claude-x", max_tokens=9, **to_anthropic(blocks))
    assert [body["messages"] for body in sent] == [to_openai(blocks), to_anthropic(blocks)["messages"]]
