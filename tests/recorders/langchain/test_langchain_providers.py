"""Real chat models of OpenAI and Anthropic, against a local server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from scripted_chat import Recorded, add

sys.path.append(str(Path(__file__).parents[1] / "providers"))
import frames
from provider_server import CHAT, Provider, serving


@pytest.fixture
def server() -> Iterator[Provider]:
    with serving() as served:
        yield served


def openai(server: Provider, **options: Any) -> Any:
    return ChatOpenAI(model="gpt-x", api_key="none", base_url=server.url, max_retries=0, **options)  # type: ignore[arg-type]


def test_openai_chat_completions(recorded: Recorded, server: Provider) -> None:
    server.streams.append(CHAT)
    recorded.stream(openai(server, stream_usage=True), "hi", None)
    _, said, first, second = recorded.blocks()
    assert (said.text, said.data["model"]) == ("Hello", "gpt-x")
    assert [(one.data["call_id"], one.text) for one in (first, second)] == [
        ("call_a", '{"a":2,"b":3}'),
        ("call_b", '{"a":4,"b":5}'),
    ]
    assert second.usage is not None
    assert (second.usage["input_tokens"], second.usage["output_tokens"]) == (10, 7)


def test_openai_responses(recorded: Recorded, server: Provider) -> None:
    server.streams.append(frames.RESPONSES)
    recorded.stream(openai(server, use_responses_api=True), "hi", None)
    _, thought, said, called = recorded.blocks()
    assert (thought.type, thought.text, said.text) == ("reasoning", "think", "Hello")
    assert (called.text, called.data["call_id"]) == ('{"a":2,"b":3}', "call_a")
    assert called.usage is not None
    assert (called.usage["input_tokens"], called.usage["output_tokens"]) == (10, 7)


def test_anthropic_messages(recorded: Recorded, server: Provider) -> None:
    server.streams.append(frames.MESSAGE)
    chat = ChatAnthropic(model="claude-x", api_key="none", base_url=server.url, max_retries=0)  # type: ignore[call-arg, arg-type]
    recorded.stream(chat.bind_tools([add]), "hi", None)
    _, thought, said, called = recorded.blocks()
    assert (thought.type, thought.text, thought.data["signature"]) == ("reasoning", "hmm", "sig")
    assert (said.type, said.text) == ("message", "Hello")
    assert (called.text, called.data["call_id"]) == ('{"a": 2, "b": 3}', "toolu_1")
    assert called.usage is not None
    assert called.usage["output_tokens"] > 0
