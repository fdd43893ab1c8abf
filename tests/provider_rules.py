"""What OpenAI and Anthropic refuse in a request, as far as their documents and their packages' types say it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from typing import Any

from pydantic import TypeAdapter

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
IMAGE_URL = re.compile(r"https?://.|data:image/(png|jpeg|gif|webp);base64,.", re.IGNORECASE)


def check_openai(messages: list[dict[str, Any]]) -> None:
    """Fails where a chat-completions request with these messages is refused for their order or content."""
    if types() is not None:
        check_types(types()[0], messages)
    waiting: list[str] = []
    seen: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in waiting, "a tool message without a call before it, or a second one"
            waiting.remove(message["tool_call_id"])
            assert isinstance(message["content"], str) or message["content"]
        else:
            assert not waiting, "a call that is not answered directly"
        if message["role"] == "assistant":
            waiting = [_openai_call(call) for call in message.get("tool_calls", ())]
            seen += waiting
            assert waiting or message["content"], "an assistant's message that says and calls nothing"
        assert "name" not in message or re.fullmatch(r"[^\s<|\\/>]{1,64}", message["name"])
        _check_openai_content(message["content"])
    assert not waiting, "a call that is not answered"
    assert len(seen) == len(set(seen)), "a call id that comes twice"


def _openai_call(call: dict[str, Any]) -> str:
    assert ID.fullmatch(call["id"])
    assert NAME.fullmatch(call[call["type"]]["name"])
    assert call["type"] == "custom" or call["function"]["arguments"]
    return str(call["id"])


def _check_openai_content(content: str | list[dict[str, Any]] | None) -> None:
    assert content != []
    for item in content if isinstance(content, list) else ():
        match item["type"]:
            case "text":
                assert item["text"].strip()
            case "image_url":
                assert IMAGE_URL.match(item["image_url"]["url"])
            case "file":
                assert item["file"]["filename"]
                assert item["file"]["file_data"].startswith("data:")


def check_anthropic(prompt: dict[str, Any]) -> None:
    """Fails where a Messages request with this system prompt and these messages is refused."""
    messages = prompt["messages"]
    if types() is not None:
        check_types(types()[1], messages)
    assert prompt.keys() <= {"system", "messages"}
    assert "system" not in prompt or prompt["system"].strip()
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2) + (
        ["user"] if len(messages) % 2 else []
    )
    uses: list[str] = []
    for message, following in zip_longest(messages, messages[1:]):
        content = message["content"]
        assert content, "a message without content"
        mine = [item["id"] for item in content if item["type"] == "tool_use"]
        results = (
            [item["tool_use_id"] for item in following["content"] if item["type"] == "tool_result"] if following else []
        )
        assert sorted(mine) == sorted(results), "calls that are not answered in the next message, each once"
        assert not mine or [item["type"] for item in following["content"][: len(mine)]] == ["tool_result"] * len(mine)
        assert message["role"] == "assistant" or content[0]["type"] != "tool_result" or message is not messages[0]
        uses += mine
        for item in content:
            _check_anthropic_item(item, message["role"])
        assert content[-1]["type"] not in ("thinking", "redacted_thinking"), "a thought that nothing follows"
    assert len(uses) == len(set(uses)), "a call id that comes twice"
    if messages and messages[-1]["role"] == "assistant":
        text = messages[-1]["content"][-1]["text"]
        assert text == text.rstrip(), "a last message that ends with white space"


def _check_anthropic_item(item: dict[str, Any], role: str) -> None:
    assistants = {"text", "thinking", "redacted_thinking", "tool_use"}
    assert item["type"] in (assistants if role == "assistant" else {"text", "image", "document", "tool_result"})
    match item["type"]:
        case "text":
            assert item["text"].strip(), "blank text"
        case "tool_use":
            assert ID.fullmatch(item["id"])
            assert NAME.fullmatch(item["name"])
            assert isinstance(item["input"], dict)
        case "tool_result":
            inner = item.get("content", ())
            assert inner != []
            assert not item.get("is_error") or (inner and {one["type"] for one in inner} == {"text"})
            for one in inner:
                _check_anthropic_item(one, "user")
        case "image" if item["source"]["type"] == "base64":
            assert item["source"]["media_type"] in {"image/png", "image/jpeg", "image/gif", "image/webp"}


@cache
def types() -> tuple[TypeAdapter[Any], TypeAdapter[Any]] | None:
    """The messages of OpenAI and of Anthropic as their packages type them; None where those are not installed."""
    try:
        from anthropic.types import MessageParam
        from openai.types.chat import ChatCompletionMessageParam
    except ImportError:
        return None
    return TypeAdapter(list[ChatCompletionMessageParam]), TypeAdapter(list[MessageParam])


def check_types(adapter: TypeAdapter[Any], messages: list[dict[str, Any]]) -> None:
    """Fails where messages have a wrong value, lack a key, or have one that the provider does not know."""
    assert as_plain(adapter.validate_python(messages)) == messages


def as_plain(value: Any) -> Any:
    """A validated value whole: pydantic validates an Iterable only as it is iterated, and leaves unknown keys out."""
    if isinstance(value, dict):
        return {key: as_plain(member) for key, member in value.items()}
    if isinstance(value, str | bytes) or not isinstance(value, list | Iterator):
        return value
    return [as_plain(member) for member in value]
