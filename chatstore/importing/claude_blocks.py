"""What is in an entry of Claude Code's logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chatstore.importing.contents import call, content_of, first_with, part_of, result
from chatstore.importing.values import as_text, inner, name_of, objects, text_of
from chatstore.model import JsonValue, Part, Tag
from chatstore.recorders import Put

_SAID: Final = frozenset({"user", "assistant"})
_CALLS: Final = frozenset({"tool_use", "mcp_tool_use"})
_RESULTS: Final = frozenset({"tool_result", "mcp_tool_result"})
_SPEAKING: Final = frozenset({"text", "image", "document"})
_TOLD: Final = ("content", "summary", "customTitle", "aiTitle", "lastPrompt", "prompt")
"""Members that tell in words what an entry is about which is no message."""


def blocks_of(entry: dict[str, JsonValue]) -> list[Put]:
    """The blocks of an entry, at least one; with the first is the entry, without the content of its message."""
    type = str(entry["type"])
    made = [*_message(entry)] if type in _SAID else [_note(entry, type)]
    if not made:
        made = [Put("message", type, internal=True)]
    noted = {name: entry[name] for name in ("uuid", "timestamp") if isinstance(entry.get(name), str)}
    for put in made:
        put.data = {**(put.data if isinstance(put.data, dict) else {}), **noted}
        put.author = put.author or (name_of(entry.get("agentId")) if entry.get("isSidechain") is True else None)
        put.internal = put.internal or _is_internal(entry)
        put.tags = _tags(entry)
    return first_with(made, entry=_rest(entry))


def _is_internal(entry: dict[str, JsonValue]) -> bool:
    """What agents say, what the program itself says to the model, and what a compaction made of what was said."""
    return any(entry.get(name) is True for name in ("isSidechain", "isMeta", "isCompactSummary"))


def _tags(entry: dict[str, JsonValue]) -> list[Tag]:
    tags = [("isCompactSummary", "compact_summary"), ("isApiErrorMessage", "api_error")]
    found = [Tag(kind="claude_code", name=tag) for name, tag in tags if entry.get(name) is True]
    if entry.get("subtype") == "compact_boundary":
        found.append(Tag(kind="claude_code", name="compact_boundary", value=entry.get("compactMetadata")))
    return found


def _rest(entry: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The entry without what its blocks have."""
    message = inner(entry, "message")
    if not message:
        return entry
    return {**entry, "message": {name: value for name, value in message.items() if name not in ("content", "usage")}}


def _message(entry: dict[str, JsonValue]) -> Iterator[Put]:
    message = inner(entry, "message")
    role = name_of(message.get("role")) or str(entry["type"])
    content = message.get("content")
    if not isinstance(content, list):
        if content is not None:
            yield Put("message", role, as_text(content))
        return
    waiting: list[JsonValue] = []
    for item in content:
        if isinstance(item, str) or _type(item) in _SPEAKING:
            waiting.append(item)
            continue
        yield from _spoken(role, waiting)
        waiting = []
        yield _item(item)
    yield from _spoken(role, waiting)


def _spoken(role: str, content: list[JsonValue]) -> Iterator[Put]:
    """What was said in one go: a message for each text, with the pictures behind it; pictures go with a text."""
    text, parts = content_of(content)
    if text or parts:
        yield Put("message", role, text, parts=parts)


def _item(item: JsonValue) -> Put:
    kind = _type(item)
    fields: dict[str, Any] = item if isinstance(item, dict) else {}
    if kind == "thinking":
        signed = {"signature": fields["signature"]} if isinstance(fields.get("signature"), str) else {}
        return Put("reasoning", "assistant", as_text(fields.get("thinking")), data=signed)
    if kind == "redacted_thinking":
        return Put("reasoning", "assistant", data={"redacted_thinking": fields.get("data")})
    if kind in _CALLS:
        return call(fields.get("name"), fields.get("input"), fields.get("id"))
    if kind in _RESULTS:
        return _result(fields)
    if kind == "server_tool_use":  # the provider makes and answers it: nobody is asked, as the recorder has it
        told = {"tool": fields.get("name"), "call_id": fields.get("id")}
        return Put("status", "assistant", as_text(fields.get("input")), ("call", name_of(fields.get("id"))), data=told)
    if kind.endswith("_tool_result"):
        told = {"tool": kind.removesuffix("_tool_result"), "call_id": fields.get("tool_use_id")}
        answered = {**told, "content": fields.get("content")}
        return Put("status", "assistant", data=answered, parent=("call", name_of(fields.get("tool_use_id"))))
    return Put("status", text=as_text(fields.get("text")), data={"item": item}, internal=True)


def _result(item: dict[str, JsonValue]) -> Put:
    """What came of a call: its texts, pictures as parts; what else was in it is kept as it is."""
    content = item.get("content")
    text, parts = content_of(content)
    texts = [text, *(part.text for part in parts if part.text is not None)]
    kept: list[Part] = [part for part in parts if part.text is None]
    odd = isinstance(content, dict) or any(part_of(one) is None for one in objects(content))
    told = "\n".join(one for one in texts if one) if isinstance(content, (str, list)) else as_text(content)
    more: dict[str, JsonValue] = {"item": item} if odd else {}
    return result(told, None, item.get("tool_use_id"), item.get("is_error") is True, parts=kept, data=more)


def _note(entry: dict[str, JsonValue], type: str) -> Put:
    """What is no message: of a system entry what it tells the person, of others what they are about, internal."""
    if type == "system":
        return Put("status", text=as_text(entry.get("content")))
    told = next((found for name in _TOLD if (found := text_of(entry.get(name))) is not None), "")
    kind = type.lower().replace("-", "_")
    return Put(kind if name_of(kind) else "status", text=told, internal=True)


def _type(item: JsonValue) -> str:
    kind = item.get("type") if isinstance(item, dict) else None
    return kind if isinstance(kind, str) else ""
