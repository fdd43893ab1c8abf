"""Short ways to say messages, and to import and export them."""

from __future__ import annotations

from typing import Any

from data_support import canonical

from chatstore import Block, ChatStore, History
from chatstore.formats.openai_chat import to_drafts, to_messages

HELLO = {"role": "user", "content": "Hello"}


def exported(store: ChatStore, history: History) -> list[dict[str, Any]]:
    return list(to_messages(history.get_messages(), store.read_bytes))


def imported(store: ChatStore, *messages: dict[str, Any]) -> list[Block]:
    """The blocks of the messages, after making sure that they give the messages back."""
    history = store.history("c")
    blocks = history.append(to_drafts(messages))
    assert canonical(exported(store, history)) == canonical(messages)
    return blocks


def call(id: str | None = "call_1", name: str = "get_weather", arguments: Any = '{"city": "Paris"}') -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def asked(*calls: dict[str, Any], content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(id: str = "call_1", content: Any = "18 °C") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}
