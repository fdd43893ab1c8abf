"""What drafts become when they are sent, after making sure that it can be."""

from __future__ import annotations

from typing import Any

from made_blocks import stored
from provider_rules import check_anthropic, check_openai

from chatstore import BlockDraft
from chatstore.formats.anthropic_prompt import to_anthropic
from chatstore.formats.openai_prompt import to_openai


def openai(*drafts: BlockDraft) -> list[dict[str, Any]]:
    messages = to_openai(stored(drafts))
    check_openai(messages)
    return messages


def anthropic(*drafts: BlockDraft) -> list[tuple[str, list[Any]]]:
    """Who says what; text without the wrapping."""
    prompt = to_anthropic(stored(drafts))
    check_anthropic(prompt)
    return [(message["role"], [unwrapped(item) for item in message["content"]]) for message in prompt["messages"]]


def unwrapped(item: dict[str, Any]) -> Any:
    if "content" in item:
        return {**item, "content": [unwrapped(inner) for inner in item["content"]]}
    return item["text"] if item["type"] == "text" else item
