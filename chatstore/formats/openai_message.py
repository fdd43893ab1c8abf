"""The blocks of one message and the OpenAI message they naturally make.

An assistant's turn is one message there and several blocks here: reasoning, then what was said, then the calls.
Statuses, errors and blocks of one's own types have no place in it and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from chatstore.errors import InvalidData
from chatstore.formats import difference, openai_parts
from chatstore.formats.difference import Reference
from chatstore.formats.openai_parts import ReadBytes
from chatstore.model import Block, BlockDraft, JsonValue

Entry: TypeAlias = Block | BlockDraft
Message: TypeAlias = dict[str, JsonValue]
E = TypeVar("E", bound=Block | BlockDraft)

NOTE: Final = "openai_chat"
"""The key in `data` of a message's first block, where blocks alone do not tell the message: `blocks` is how many of
them are its own, the rest how it differs (see `difference`) from the message that they naturally make."""

_UNKNOWN_ID: Any = object()
_TYPES = frozenset({"message", "function_call", "function_result", "reasoning"})
_PLACES = {"reasoning": 0, "message": 1, "function_call": 2}


def note_of(entry: Entry) -> dict[str, Any] | None:
    """What is noted beside a block about the message that it begins."""
    note = entry.data.get(NOTE) if isinstance(entry.data, dict) else None
    return note if isinstance(note, dict) and isinstance(note.get("blocks"), int) else None


def groups(entries: Iterable[E]) -> Iterator[list[E]]:
    """The entries of each message, in order."""
    group: list[E] = []
    size: int | None = None
    for entry in entries:
        if entry.type not in _TYPES:
            continue
        note = note_of(entry)
        full = len(group) == size or not continues(group[-1] if group else None, entry)
        if group and (full or note is not None):
            yield group
            group = []
        if not group:
            size = None if note is None else note["blocks"]
        group.append(entry)
    if group:
        yield group


def continues(last: Entry | None, entry: Entry) -> bool:
    """Whether an entry naturally belongs to the message that `last` is of; with None, whether it might to any."""
    place = _place(entry)
    if last is None or place is None:
        return place is not None
    before = _place(last)
    if before is None or (last.author, last.run_id, last.internal) != (entry.author, entry.run_id, entry.internal):
        return False
    return before < place or before == place != _PLACES["message"]


def natural(group: Sequence[Entry], read_bytes: ReadBytes) -> Message:
    """The message that blocks make by themselves."""
    first = group[0]
    if first.type == "function_result":
        return {"role": "tool", "tool_call_id": _answered_id(first), "content": _content(first, read_bytes)}
    spoken = next((entry for entry in group if entry.type == "message"), None)
    calls = [_call(entry) for entry in group if entry.type == "function_call"]
    thoughts = [entry.text for entry in group if entry.type == "reasoning"]
    role = "assistant" if spoken is None else spoken.role
    message: Message = {} if role is None else {"role": role}  # what nobody is known to have said is not the user's
    message["content"] = _content(spoken, read_bytes) if spoken is not None else None if calls else ""
    if first.author is not None:
        message["name"] = first.author
    if thoughts:
        message["reasoning"] = "\n\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def message_of(group: Sequence[Entry], read_bytes: ReadBytes) -> Message:
    """The message of a group as it was read, or the natural one of blocks written by other means."""
    made, note = natural(group, read_bytes), note_of(group[0])
    if note is None:
        return made
    try:
        restored = difference.restore(made, note, lambda reference: _resolve(group, reference, read_bytes))
    except (LookupError, TypeError, ValueError, AttributeError):
        raise InvalidData(f"data[{NOTE!r}] of a block is none that an import wrote; take that key out") from None
    return dict(restored)


def sources(group: Sequence[Entry], read_bytes: ReadBytes) -> Iterator[tuple[Reference, JsonValue]]:
    """What the blocks of a message keep, each with the reference that `_resolve` takes."""
    for place, entry in enumerate(group):
        yield [place, "text"], entry.text
        if isinstance(entry.data, dict) and "arguments" in entry.data:
            yield [place, "arguments"], entry.data["arguments"]
        if entry.usage is not None:
            yield [place, "usage"], dict(entry.usage)
        for number, part in enumerate(entry.parts):
            if part.type == "text":
                yield [place, "parts", number, "text"], part.text
                continue
            yield [place, "parts", number, "url"], openai_parts.url(part, read_bytes)
            if part.url is None:
                yield [place, "parts", number, "base64"], openai_parts.encoded(part, read_bytes)


def _resolve(group: Sequence[Entry], reference: Reference, read_bytes: ReadBytes) -> JsonValue:
    place, field, *rest = reference
    entry = group[int(place)]
    if field == "parts":
        part = entry.parts[int(rest[0])]
        forms = {"url": openai_parts.url, "base64": openai_parts.encoded}
        return part.text if rest[1] == "text" else forms[str(rest[1])](part, read_bytes)
    if field == "arguments":
        return entry.data["arguments"]
    return {"text": entry.text, "usage": entry.usage}[str(field)]


def _place(entry: Entry) -> int | None:
    """Where in an assistant's message an entry stands; None for what is not of an assistant."""
    if entry.type == "message" and entry.role != "assistant":
        return None
    return _PLACES.get(entry.type)


def _content(entry: Entry, read_bytes: ReadBytes) -> JsonValue:
    if not entry.parts:
        return entry.text
    leading = [{"type": "text", "text": entry.text}] if entry.text else []
    return [*leading, *(openai_parts.to_item(part, read_bytes) for part in entry.parts)]


def _call(entry: Entry) -> Message:
    own_id = entry.id if isinstance(entry, Block) else _UNKNOWN_ID
    return tool_call(_field(entry, "call_id") or own_id, _field(entry, "name") or "", entry.text)


def tool_call(id: str, name: str, arguments: str) -> Message:
    """The item of a call in `tool_calls`."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _answered_id(entry: Entry) -> str:
    """The id of the call that a result answers; a call without one goes by the id of its block."""
    own_id = (entry.parent_id or entry.id) if isinstance(entry, Block) else _UNKNOWN_ID
    return _field(entry, "call_id") or own_id


def _field(entry: Entry, name: str) -> Any:
    return entry.data.get(name) if isinstance(entry.data, dict) else None
