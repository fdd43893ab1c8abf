"""Blocks as people read them: who or what each is, in words that a page or a text begins it with."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from chatstore.model import Block, Part

Look = Literal["said", "thought", "call", "result", "note"]
_LOOKS: Final[dict[str, Look]] = {
    "message": "said",
    "reasoning": "thought",
    "function_call": "call",
    "function_result": "result",
}
_UNKNOWN: Final = "unknown"
_REMEMBERED: Final = 10_000
_FIRST_MILLISECONDS: Final = 10**11  # 1973; a smaller number is something else


@dataclass(frozen=True, slots=True)
class Shown:
    """A block to be read. `code`: its text is JSON or what a program gave, and no prose."""

    look: Look
    title: str
    text: str
    code: bool
    role: str
    at: str
    parts: tuple[Part, ...]


def shown(blocks: Iterable[Block]) -> Iterator[Shown]:
    """Blocks in order; a note, such as a status, that says nothing and carries nothing is left out."""
    calls: OrderedDict[str, str] = OrderedDict()
    for block in blocks:
        if block.type == "function_call":
            calls[block.id] = _field(block, "name") or _UNKNOWN
            if len(calls) > _REMEMBERED:
                calls.popitem(last=False)
        look = _LOOKS.get(block.type, "note")
        text = _text(block)
        if text or block.parts or look != "note" or block.state != "closed":
            role, title = block.role or block.type, _title(block, look, calls.get(block.parent_id or ""))
            at = f"{said_at(block):%Y-%m-%d %H:%M:%S} UTC"
            yield Shown(look, title, text, look in ("call", "result"), role, at, block.parts)


def said_at(block: Block) -> datetime:
    """When it was said: of what was imported, as its source tells it."""
    told = (_time(_field(block, name)) for name in ("timestamp", "created_at"))
    return next(filter(None, told), block.created_at)


def _time(told: Any) -> datetime | None:
    """A time as text, or in milliseconds, as AG-UI has it; without a zone it is UTC."""
    try:
        if isinstance(told, str):
            at = datetime.fromisoformat(told)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if isinstance(told, (int, float)) and told > _FIRST_MILLISECONDS:
            return datetime.fromtimestamp(told / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def described(part: Part) -> str:
    """A part in words: what it is, and its name, address or size."""
    size = None if part.size is None else f"{part.size:,} bytes"
    return ", ".join(word for word in (part.type, part.mime_type, part.name, part.url, size) if word)


def _title(block: Block, look: Look, call: str | None) -> str:
    """What a block begins with; `call` is the name of the call that it is below."""
    name = call or _field(block, "name") or _UNKNOWN
    said = {
        "said": block.author or block.role or "message",
        "thought": f"{block.author or 'assistant'} thinks",
        "call": f"call of {name}",
        "result": f"result of {name}" + (" (an error)" if _field(block, "is_error") is True else ""),
        "note": block.type + (f" by {block.author}" if block.author else ""),
    }[look]
    marks = [*(["internal"] if block.internal else []), *([block.state] if block.state != "closed" else [])]
    return f"{said} ({', '.join(marks)})" if marks else said


def _text(block: Block) -> str:
    if block.type == "function_call" and not block.text:
        given = _field(block, "arguments")
        return "{}" if given is None else json.dumps(given, ensure_ascii=False)
    return block.text


def _field(block: Block, name: str) -> Any:
    return block.data.get(name) if isinstance(block.data, dict) else None
