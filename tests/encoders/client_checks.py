"""What the real clients have to show of stored blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from folding import stored_texts

from chatstore import Block

Seen = dict[str, Any]


def check_agui(seen: Seen, blocks: list[Block], *, warnings: bool = False) -> None:
    """@ag-ui/client shows every block once, and complained of nothing."""
    assert seen["error"] is None and not seen["invalid"]
    assert warnings or not seen["warnings"]
    assert seen["types"][0] == "RUN_STARTED" and seen["types"][-1] in ("RUN_FINISHED", "RUN_ERROR")
    found = [pair for message in seen["messages"] for pair in _agui_texts(message)]
    assert len(found) == len(dict(found))
    assert dict(found) == stored_texts(blocks)


def _agui_texts(message: Seen) -> Iterable[tuple[str, str]]:
    if message["role"] == "activity":
        yield message["id"], message["content"].get("text", "")
    elif "toolCalls" in message:
        if "content" in message:
            yield message["id"], message["content"]
        yield from ((call["id"], call["function"]["arguments"]) for call in message["toolCalls"])
    elif isinstance(message["content"], list):
        yield message["id"], "".join(part["text"] for part in message["content"][:1] if part["type"] == "text")
    else:
        yield message["id"], message["content"]


def check_tanstack(seen: Seen, blocks: list[Block]) -> None:
    """@tanstack/ai-client shows what was said, thought, called and answered. It knows no activities."""
    assert seen["error"] is None
    parts = [part for message in seen["messages"] for part in message["parts"]]
    people = [b for b in blocks if not b.internal]
    said = [b.text for b in people if b.type == "message" and b.role in ("user", "assistant") and b.text]
    assert sorted(part["content"] for part in parts if part["type"] == "text" and part["content"]) == sorted(said)
    thought = [b.text for b in people if b.type == "reasoning" and b.text]
    assert sorted(part["content"] for part in parts if part["type"] == "thinking") == sorted(thought)
    calls = {b.id: b.text for b in people if b.type == "function_call"}
    assert {part["id"]: part["arguments"] for part in parts if part["type"] == "tool-call"} == calls
    answers = sorted(b.text for b in people if b.type == "function_result")
    assert sorted(part["content"] for part in parts if part["type"] == "tool-result") == answers


def said_in(message: Seen) -> list[str]:
    """The texts of a UI message."""
    return [part["text"] for part in message["parts"] if part["type"] == "text"]


def check_ai_sdk(seen: Seen, blocks: list[Block]) -> None:
    """The AI SDK shows of one run what was said, thought, called, answered and done."""
    parts = seen["message"]["parts"]
    people = [b for b in blocks if not b.internal and b.role not in ("user", "system", "developer")]
    assert said_in(seen["message"]) == [b.text for b in people if b.type == "message"]
    thought = [part["text"] for part in parts if part["type"] == "reasoning"]
    assert thought == [b.text for b in people if b.type == "reasoning"]
    called = [part["toolCallId"] for part in parts if part["type"] == "dynamic-tool"]
    assert called == [b.id for b in people if b.type == "function_call"]
    shown = {part["id"]: part["data"].get("text", "") for part in parts if part["type"] == "data-status"}
    assert shown == {b.id: b.text for b in people if b.type == "status"}
    assert not [part for part in parts if part.get("state") in ("streaming", "input-streaming")]
