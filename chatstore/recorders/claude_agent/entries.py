"""From the entries of Claude Code's transcripts to blocks, and back.

What an entry looks like is Claude's own affair; what is read here was seen with claude-agent-sdk 0.2.184. An entry of
another form is kept as it is, in a status.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from chatstore.model import Block, BlockDraft, JsonValue, Part, Tag
from chatstore.recorders.machine.sound import sound

ENTRY: Final = "claude_entry"
"""Where a block's data has the entry. Of several blocks of one entry the first has it."""
CALL: Final = "claude_call"
"""The kind of the tag that finds a call by its id."""
MESSAGE: Final = "claude_message"
"""The kind of the tag that finds the first block of a message by its id."""

_INT64: Final = range(-(2**63), 2**63)
_MOST_LEVELS: Final = 40
_UNSEEN: Final = ("isMeta", "isCompactSummary", "isSidechain", "isVisibleInTranscriptOnly")
_TITLES: Final = ("content", "summary", "customTitle", "aiTitle", "lastPrompt", "tag", "subtype", "type")
_CALLS: Final = ("tool_use", "mcp_tool_use")


class Call(NamedTuple):
    """A call that is stored: its block, and what it called."""

    block_id: str
    name: str | None


def drafts(entry: Mapping[str, Any], calls: Mapping[str, Call], *, internal: bool, counted: bool) -> list[BlockDraft]:
    """The blocks of an entry, the first of which has it whole.

    `calls`: those that it answers, by their ids. `internal`: it is a subagent's. `counted`: what its
    message cost is on a block already.
    """
    message = _dict(entry.get("message"))
    about = {
        name: value for name, value in (("message_id", message.get("id")), ("model", message.get("model"))) if value
    }
    if isinstance(entry.get("uuid"), str):
        about["uuid"] = entry["uuid"]
    internal = internal or any(entry.get(name) is True for name in _UNSEEN)
    found = [*_contents(entry, message, calls)] or [{"type": "status", "text": _title(entry)}]
    usage = message.get("usage")
    if isinstance(usage, dict) and not counted:
        found[0]["usage"] = usage
        found[0]["tags"] = [*found[0].get("tags", ()), *_tag(MESSAGE, message.get("id"))]
    for place, one in enumerate(found):
        one["data"] = {**one.get("data", {}), **about, **({} if place else {ENTRY: entry})}
        one["internal"] = internal or one["type"] == "status"
    return [BlockDraft(**one) for one in found]


def entry_of(block: Block) -> dict[str, Any] | None:
    """The entry that a block has, as it was given."""
    kept = block.data.get(ENTRY) if isinstance(block.data, dict) else None
    if isinstance(kept, str):
        kept = json.loads(kept)
    return kept if isinstance(kept, dict) else None


def as_text(draft: BlockDraft, entry: Mapping[str, Any]) -> BlockDraft:
    """A draft whose entry is not JSON as a store takes it: half a character, an integer of more than 64 bits, more
    levels than it may have. The entry is kept as text of ASCII, which says all that; the rest without these."""
    data = _storable({name: value for name, value in draft.data.items() if name != ENTRY}, _MOST_LEVELS)
    if ENTRY in draft.data:
        data[ENTRY] = json.dumps(entry)
    usage = None if draft.usage is None else _storable(dict(draft.usage), _MOST_LEVELS)
    return draft.model_copy(update={"text": sound(draft.text), "data": data, "usage": usage})


def answered(entry: Mapping[str, Any]) -> list[str]:
    """The ids of the calls that an entry has results of."""
    pieces = _pieces(_dict(entry.get("message")))
    ids = [piece.get("tool_use_id") for piece in pieces if piece.get("type") == "tool_result"]
    return [id for id in ids if isinstance(id, str) and named(id)]


def message_id(entry: Mapping[str, Any]) -> str | None:
    """The id of the message that an entry is of, where it says what the message cost."""
    message = _dict(entry.get("message"))
    id = message.get("id")
    return id if isinstance(id, str) and named(id) and isinstance(message.get("usage"), dict) else None


def named(value: str) -> bool:
    """Whether it can be the name of a tag."""
    return 0 < len(value) <= 500 and value.isprintable() and value.isascii()


def _contents(
    entry: Mapping[str, Any], message: Mapping[str, Any], calls: Mapping[str, Call]
) -> Iterator[dict[str, Any]]:
    role = message.get("role") or entry.get("type")
    if role not in ("user", "assistant"):
        return
    pieces = _pieces(message)
    if role == "user":
        if said := _said(pieces):
            yield said
        pieces = [piece for piece in pieces if piece.get("type") not in ("text", "image")]
    for piece in pieces:
        yield _content(piece, role, calls)


def _said(pieces: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What a person says is one message, with the pictures in it."""
    texts = [str(piece.get("text") or "") for piece in pieces if piece.get("type") == "text"]
    parts = [part for piece in pieces if (part := picture(piece)) is not None]
    return {"type": "message", "role": "user", "text": "\n".join(texts), "parts": parts} if texts or parts else None


def _content(piece: dict[str, Any], role: str, calls: Mapping[str, Call]) -> dict[str, Any]:
    type = piece.get("type")
    if type == "text":
        return {"type": "message", "role": role, "text": str(piece.get("text") or "")}
    if type == "thinking":
        data = {"signature": piece.get("signature")}
        return {"type": "reasoning", "role": role, "text": str(piece.get("thinking") or ""), "data": data}
    if type == "redacted_thinking":
        return {"type": "reasoning", "role": role, "data": {"redacted_thinking": piece.get("data")}}
    if type in _CALLS:
        id, given = piece.get("id"), piece.get("input")
        data = {"name": piece.get("name"), "arguments": given, "call_id": id}
        text = json.dumps(given, ensure_ascii=False)
        return {"type": "function_call", "role": role, "text": text, "data": data, "tags": _tag(CALL, id)}
    if type == "tool_result":
        return result(piece, calls.get(str(piece.get("tool_use_id"))))
    return {"type": "status", "role": role, "data": {"content": type}}


def result(piece: Mapping[str, Any], call: Call | None) -> dict[str, Any]:
    """The fields of the block of a tool's result."""
    content = piece.get("content")
    pieces = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    text = content if isinstance(content, str) else "\n".join(str(one["text"]) for one in pieces if one.get("text"))
    return {
        "type": "function_result",
        "role": "tool",
        "text": text,
        "data": {
            "call_id": piece.get("tool_use_id"),
            "name": None if call is None else call.name,
            "is_error": piece.get("is_error") is True,
        },
        "parts": [part for one in pieces if (part := picture(one)) is not None],
        "parent": None if call is None else call.block_id,
    }


def picture(piece: Mapping[str, Any]) -> Part | None:
    """A picture as a part, where its bytes or its address are there."""
    source = _dict(piece.get("source")) if piece.get("type") == "image" else {}
    kind = source.get("media_type") if isinstance(source.get("media_type"), str) else None
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return Part(type="image", url=source["url"], mime_type=kind)
    try:
        content = base64.b64decode(source.get("data") or "", validate=True)
    except (binascii.Error, TypeError, ValueError):
        return None
    return Part(type="image", content=content, mime_type=kind or "image/png") if content else None


def _pieces(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [piece for piece in content if isinstance(piece, dict)] if isinstance(content, list) else []


def _title(entry: Mapping[str, Any]) -> str:
    """What stands for an entry that is no message."""
    return next((value for name in _TITLES if isinstance(value := entry.get(name), str) and value), "")


def _tag(kind: str, name: Any) -> list[Tag]:
    return [Tag(kind=kind, name=name)] if isinstance(name, str) and named(name) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _storable(value: JsonValue, levels: int) -> JsonValue:
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, (dict, list)) and not levels:
        return json.dumps(value)
    if isinstance(value, dict):
        return {sound(name): _storable(one, levels - 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable(one, levels - 1) for one in value]
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    return value if isinstance(value, (bool, type(None))) or value in _INT64 else str(value)
