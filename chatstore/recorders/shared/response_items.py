"""The items of a Responses answer, and the blocks that they are."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chatstore.model import JsonValue, Part
from chatstore.recorders.shared.provider_events import known, member, plain

_CALLS: Final = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "mcp_call": "arguments",
    "computer_call": "action",
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
}
"""Calls, and where their arguments are. Whoever asked answers them; only those of MCP have their result in the item."""
ANSWERED_BY_OTHERS: Final = frozenset(_CALLS) - {"mcp_call"}
"""The types of calls that whoever asked has to answer."""
_IN_OTHER_PLACES: Final = ("id", "type", "code", "result", "call_id")


@dataclass(slots=True)
class Said:
    """What an item says by one block. `begins`: with the item, before any word; `keep`: also where it has no text."""

    name: str
    type: str
    text: str | None = None
    place: int | None = None
    data: dict[str, JsonValue] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    call_id: str | None = None
    begins: bool = False
    keep: bool = False


@dataclass(slots=True)
class Result:
    """What came of a call that is answered in the response itself."""

    text: str
    data: dict[str, JsonValue]


def said_by(item: Any) -> Iterator[Said]:
    """The blocks of an item as it is now; `text` is None where it is not known yet."""
    type = member(item, "type") or "item"
    if type == "message":
        yield from _message(item)
    elif type == "reasoning":
        yield from _reasoning(item)
    elif type in _CALLS:
        yield _call(item, type)
    elif not type.endswith("_output"):
        yield _status(item, type)
        yield from _image(item, type)


def result_of(item: Any) -> Result | None:
    """The result that an item is or has in it."""
    type, name = member(item, "type") or "", member(item, "name")
    if type == "mcp_call":
        output, error = member(item, "output"), member(item, "error")
        if output is None and error is None:
            return None
        data = {"call_id": member(item, "id"), "name": name, "is_error": error is not None}
        return Result(_text(output if error is None else error), data)
    if not type.endswith("_output"):
        return None
    failed = member(item, "status") in ("failed", "incomplete")
    output = member(item, "output")
    return Result(
        _text(member(item, "result") if output is None else output),
        {
            "call_id": member(item, "call_id"),
            "name": name or type.removesuffix("_call_output"),
            "is_error": failed,
        },
    )


def base64_bytes(text: str) -> bytes | None:
    """The bytes of base64; None of what is none."""
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        return None


def _message(item: Any) -> Iterator[Said]:
    for place, part in enumerate(member(item, "content") or ()):
        if member(part, "type") == "refusal":
            yield Said("refusal", "message", member(part, "refusal"), place, {"refusal": True})
        else:
            noted = known(annotations=member(part, "annotations") or None)
            yield Said("output_text", "message", member(part, "text"), place, noted)


def _reasoning(item: Any) -> Iterator[Said]:
    """Its summary, and the thoughts themselves where a model shows them. What only OpenAI reads is kept for it."""
    sealed = known(item_id=member(item, "id"), encrypted_content=member(item, "encrypted_content"))
    content = _joined(member(item, "content"))
    if content is not None:
        yield Said("content", "reasoning", content, data=sealed)
    summary = _joined(member(item, "summary"))
    keep = content is None and "encrypted_content" in sealed
    yield Said("summary", "reasoning", summary, data=sealed, keep=keep)


def _joined(parts: Any) -> str | None:
    texts = [text for part in parts or () if (text := member(part, "text"))]
    return "\n\n".join(texts) if texts else None


def _call(item: Any, type: str) -> Said:
    given, id = member(item, _CALLS[type]), member(item, "call_id") or member(item, "id")
    data = {"name": member(item, "name") or type.removesuffix("_call"), "call_id": id}
    more = known(item_id=member(item, "id"), server=member(item, "server_label"), namespace=member(item, "namespace"))
    custom = {"custom": True} if type == "custom_tool_call" else {}
    text = given if isinstance(given, str) else None if given is None else json.dumps(plain(given))
    return Said("call", "function_call", text, data={**data, **more, **custom}, call_id=id, begins=True)


def _status(item: Any, type: str) -> Said:
    """What a tool of OpenAI's does, told by what it was asked for: code, a query, a page."""
    whole = plain(item)
    told: dict[str, Any] = whole if isinstance(whole, dict) else {}
    action = told.get("action")
    asked = action if isinstance(action, dict) else told
    query = next((asked[name] for name in ("code", "query", "url", "revised_prompt") if asked.get(name)), None)
    if query is None and (queries := asked.get("queries")):
        query = ", ".join(map(str, queries))
    rest = {name: value for name, value in told.items() if name not in _IN_OTHER_PLACES}
    data = {"tool": type.removesuffix("_call"), **known(item_id=told.get("id"), call_id=told.get("call_id")), **rest}
    return Said("call", "status", query, data=data, begins=True, keep=True)


def _image(item: Any, type: str) -> Iterator[Said]:
    given = member(item, "result")
    if type != "image_generation_call" or not isinstance(given, str):
        return
    content = base64_bytes(given)
    if content is None:
        return
    kind = {"svg": "svg+xml"}.get(format := member(item, "output_format") or "png", format)
    part = Part(type="image", mime_type=f"image/{kind}", content=content)
    yield Said("image", "message", data=known(message_id=member(item, "id")), parts=[part])


def _text(output: Any) -> str:
    """Texts of an output as they are, and all else as JSON."""
    if isinstance(output, str):
        return output
    texts = [member(one, "text") for one in output] if isinstance(output, (list, tuple)) else [None]
    if all(isinstance(text, str) for text in texts):
        return "\n".join(map(str, texts))
    return json.dumps(plain(output), ensure_ascii=False)
