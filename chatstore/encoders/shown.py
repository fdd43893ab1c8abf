"""What the encoders share: which blocks are shown to a person and as what, calls and their results, parts, usage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from chatstore.model import Block, JsonValue, Part, Run
from chatstore.prompts import OpenCalls

Event: TypeAlias = dict[str, JsonValue]
Shape: TypeAlias = Literal["text", "reasoning", "call", "result", "other"]
PartUrl: TypeAlias = Callable[[Block, Part], str | None]
"""Where a browser finds what is in a part; None: nowhere."""

_SHAPES: Mapping[str, Shape] = {"reasoning": "reasoning", "function_call": "call", "function_result": "result"}
_SPEAKERS = frozenset({"user", "assistant", "system", "developer"})
_COUNTS: Mapping[str, tuple[str, ...]] = {
    "input": ("input_tokens", "prompt_tokens", "inputTokens", "promptTokens"),
    "output": ("output_tokens", "completion_tokens", "outputTokens", "completionTokens"),
    "total": ("total_tokens", "totalTokens"),
    "reasoning": ("reasoning_tokens", "reasoningTokens"),
    "cached": ("cached_input_tokens", "cached_tokens", "cache_read_input_tokens", "cachedInputTokens"),
}
_MAX_COUNT = 2**53 - 1


def shape_of(block: Block) -> Shape:
    """As what a block is shown."""
    if block.type == "message":
        return "text" if block.role in _SPEAKERS else "other"
    return _SHAPES.get(block.type, "other")


def is_for_people(block: Block) -> bool:
    """Whether a person may see it: not what agents say among themselves, and no system prompt."""
    return not block.internal and not (block.type == "message" and block.role in ("system", "developer"))


def part_url(block: Block, part: Part) -> str | None:
    """The URL that a part was stored with; bytes have none here."""
    return part.url


def field(block: Block, name: str) -> str | None:
    """A text in the data of a call or a result."""
    value = block.data.get(name) if isinstance(block.data, dict) else None
    return value if isinstance(value, str) else None


def is_error(block: Block) -> bool:
    """Whether a function result says that the call failed."""
    failed = isinstance(block.data, dict) and block.data.get("is_error") is True
    return failed or block.state in ("failed", "cancelled", "interrupted")


def function_name(block: Block) -> str:
    """The name of the function that is called."""
    return field(block, "name") or "unknown"


def content(block: Block, text: str) -> Event:
    """A status, an error or a block of one's own type as an object, with the text that it has by now."""
    given = {"text": text, "author": block.author, "role": block.role, "data": block.data}
    return {"type": block.type, "state": block.state, **{key: value for key, value in given.items() if value}}


def failure(run: Run) -> str:
    """Why a run did not complete, for a person to read."""
    if run.error is not None:
        return f"{run.error.type}: {run.error.message}"
    return "the run was interrupted: its process ended" if run.state == "interrupted" else f"the run has {run.state}"


def token_counts(usage: JsonValue) -> dict[str, int]:
    """What usage says of tokens, by the names that models' APIs use: input, output, total, reasoning, cached."""
    found: dict[str, int] = {}
    for count, names in _COUNTS.items():
        values = [usage.get(name) for name in names] if isinstance(usage, dict) else []
        known = [v for v in values if isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= _MAX_COUNT]
        if known:
            found[count] = known[0]
    return found


class Calls:
    """The calls that were shown, to name the one that a result answers. Real models use a call id again."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._open: OpenCalls[str] = OpenCalls()
        self._group = 0

    def add(self, block: Block) -> None:
        """Takes up a block as it begins."""
        if block.type != "function_call":
            self._group += 1
            return
        self._known[block.id] = function_name(block)
        self._open.add(block.id, self._group, field(block, "call_id"), field(block, "name"))

    def answered_by(self, block: Block) -> str | None:
        """The call's block, by its id, that a result answers, if it was shown. Asked once for each result."""
        call = block.parent_id or self._open.answer(field(block, "call_id"), field(block, "name"))
        if call is None or call not in self._known:
            return None
        self._open.close(call)
        return call
