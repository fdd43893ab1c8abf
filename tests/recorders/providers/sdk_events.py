"""The events that the providers' packages make of streams: raw and by their helpers, without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import frames
import httpx2
import openai
from provider_server import body

ASK: Any = [{"role": "user", "content": "What is it?"}]


def _transport(stream: list[Any]) -> httpx2.MockTransport:
    headers = {"content-type": "text/event-stream"}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body(stream)))


def openai_client(stream: list[Any]) -> openai.OpenAI:
    http = httpx2.Client(transport=_transport(stream))
    return openai.OpenAI(api_key="none", base_url="http://none.invalid/v1", http_client=http, max_retries=0)


def anthropic_client(stream: list[Any]) -> anthropic.Anthropic:
    http = httpx2.Client(transport=_transport(stream))
    return anthropic.Anthropic(api_key="none", base_url="http://none.invalid", http_client=http, max_retries=0)


def chat(stream: list[Any]) -> list[Any]:
    with openai_client([*stream, frames.DONE]) as client:
        return [*client.chat.completions.create(model="gpt-x", messages=ASK, stream=True)]


def chat_helper(stream: list[Any]) -> list[Any]:
    client = openai_client([*stream, frames.DONE])
    with client, client.chat.completions.stream(model="gpt-x", messages=ASK) as events:
        return [*events]


def responses(stream: list[Any]) -> list[Any]:
    with openai_client(stream) as client:
        return [*client.responses.create(model="gpt-x", input="What is it?", stream=True)]


def responses_helper(stream: list[Any]) -> list[Any]:
    with openai_client(stream) as client, client.responses.stream(model="gpt-x", input="What is it?") as events:
        return [*events]


def messages(stream: list[Any]) -> list[Any]:
    with anthropic_client(stream) as client:
        return [*client.messages.create(model="claude-x", max_tokens=99, messages=ASK, stream=True)]


def messages_helper(stream: list[Any]) -> list[Any]:
    client = anthropic_client(stream)
    with client, client.messages.stream(model="claude-x", max_tokens=99, messages=ASK) as events:
        return [*events]


def whole_chat() -> list[Any]:
    return chat(frames.CHAT)


def whole_chat_helper() -> list[Any]:
    return chat_helper(frames.CHAT)


def whole_response() -> list[Any]:
    return responses(frames.RESPONSES)


def whole_response_helper() -> list[Any]:
    return responses_helper(frames.RESPONSES)


def whole_message() -> list[Any]:
    return messages(frames.MESSAGE)


def whole_message_helper() -> list[Any]:
    return messages_helper(frames.MESSAGE)


MAKERS: dict[str, Callable[[], list[Any]]] = {
    "chat": whole_chat,
    "chat helper": whole_chat_helper,
    "responses": whole_response,
    "responses helper": whole_response_helper,
    "messages": whole_message,
    "messages helper": whole_message_helper,
}
