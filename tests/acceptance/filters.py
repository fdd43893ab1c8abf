"""Twenty filters, each with the same rule in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatstore import Block

Rule = Callable[[Block], bool]


def _tagged(name: str) -> Rule:
    return lambda block: any((tag.kind, tag.name) == ("shift", name) for tag in block.tags)


def in_transcript(block: Block) -> bool:
    return block.type == "message" and block.role in ("user", "assistant") and not block.internal


def in_prompt(block: Block) -> bool:
    calls = block.type in ("function_call", "function_result")
    return calls or (block.type == "message" and block.role in ("system", "developer", "user", "assistant"))


FILTERS: list[tuple[dict[str, Any], Rule]] = [
    ({}, lambda block: True),
    ({"kind": "trace"}, lambda block: True),
    ({"kind": "transcript"}, in_transcript),
    ({"kind": "prompt"}, in_prompt),
    ({"types": ["message"]}, lambda block: block.type == "message"),
    ({"types": ["status", "note"]}, lambda block: block.type in ("status", "note")),
    ({"types": ["nothing of the sort"]}, lambda block: False),
    ({"roles": ["user"]}, lambda block: block.role == "user"),
    ({"roles": ["assistant", "system"]}, lambda block: block.role in ("assistant", "system")),
    ({"authors": ["planner"]}, lambda block: block.author == "planner"),
    ({"authors": ["critic", "researcher"]}, lambda block: block.author in ("critic", "researcher")),
    ({"run": "run-1"}, lambda block: block.run_id == "run-1"),
    ({"run": "run-2", "kind": "transcript"}, lambda block: block.run_id == "run-2" and in_transcript(block)),
    ({"tags": [("shift", "a")]}, _tagged("a")),
    ({"tags": [("shift", "b")], "roles": ["user"]}, lambda block: _tagged("b")(block) and block.role == "user"),
    ({"states": ["closed"]}, lambda block: True),
    ({"states": ["failed", "open"]}, lambda block: False),
    ({"kind": "transcript", "authors": ["planner"]}, lambda block: in_transcript(block) and block.author == "planner"),
    ({"kind": "prompt", "roles": ["system"]}, lambda block: in_prompt(block) and block.role == "system"),
    ({"types": ["note"], "run": "run-2"}, lambda block: block.type == "note" and block.run_id == "run-2"),
]
