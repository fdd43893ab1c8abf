"""What is stored of a provider's stream, and how tests look at it."""

from __future__ import annotations

from typing import Any

from chatstore import Block, ChatStore, Run
from chatstore.recorders import anthropic, openai_chat, openai_responses, record

RECORDERS = {"openai_chat": openai_chat, "openai_responses": openai_responses, "anthropic": anthropic}
ADD, MUL = '{"a":2,"b":3}', '{"a":4,"b":5}'


def stored(store: ChatStore, events: list[Any], name: str = "") -> tuple[Run, list[Block]]:
    """The run and the blocks of a stream; of events that are plain dicts by the recorder of this name."""
    history = store.history(f"c{len(store.contexts())}")
    made = record if not name else RECORDERS[name].record
    assert [*made(events, history, strict=True)] == events  # type: ignore[operator]
    [run] = history.runs()
    return run, history.get_messages(kind="trace")


def brief(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in blocks]


def stops(blocks: list[Block]) -> list[tuple[str, str, Any]]:
    return [(tag.kind, tag.name, tag.value) for block in blocks for tag in block.tags]
