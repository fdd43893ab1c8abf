"""OpenAI chat-completions messages to blocks, and blocks to messages.

The blocks are what a reader of chatstore expects: what was said, reasoning, calls and results that belong to their
calls. What has no place in them is noted in `data["openai_chat"]` of the message's first block, so that
`to_messages` gives back what `to_drafts` took, value for value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chatstore import checks
from chatstore.errors import InvalidInput
from chatstore.formats import difference
from chatstore.formats.openai_message import NOTE, Message, continues, groups, message_of, natural, sources
from chatstore.formats.openai_parts import ReadBytes, audio_part, to_part
from chatstore.model import Block, BlockDraft, JsonValue, Part
from chatstore.prompts import OpenCalls
from chatstore.writing import drafts as writing

_RESULT_ROLES = frozenset({"tool", "function"})
_REASONING_KEYS = ("reasoning", "reasoning_content")
_USAGE_KEYS = ("usage", "_usage")


def to_drafts(messages: Iterable[JsonValue]) -> list[BlockDraft]:
    """The blocks of a conversation, to be appended together. Raises an InvalidInput that names the wrong message."""
    drafts: list[BlockDraft] = []
    calls: OpenCalls[int] = OpenCalls()
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidInput(f"message {number} is {type(message).__name__}; a message is a JSON object")
        checks.json_text(message, f"message {number}")
        is_result = _name(message.get("role")) in _RESULT_ROLES
        made = [_result(message, drafts, calls)] if is_result else _said_and_called(message)
        for place, draft in enumerate(_noted(made, message, drafts[-1] if drafts else None), len(drafts)):
            drafts.append(draft)
            if draft.type == "function_call":
                calls.add(place, number, draft.data["call_id"], draft.data["name"])
    return drafts


def to_messages(blocks: Iterable[Block], read_bytes: ReadBytes) -> Iterator[Message]:
    """The messages that blocks make, as they come. `read_bytes` is the store's: it reads the bytes of parts."""
    for group in groups(blocks):
        yield message_of(group, read_bytes)


def _noted(made: list[BlockDraft], message: Message, previous: BlockDraft | None) -> list[BlockDraft]:
    """The drafts, the first with a note where they would not make the message again."""
    expected = natural(made, _no_bytes)
    if difference.same(expected, message):
        if not continues(previous, made[0]):
            return made
        node = {}
    else:
        node = difference.members(expected, message, difference.Sources(sources(made, _no_bytes)))
    return _with_first(made, data={**(made[0].data or {}), NOTE: {"blocks": len(made), **node}})


def _with_first(made: list[BlockDraft], **fields: Any) -> list[BlockDraft]:
    """The drafts with fields of the first one replaced; those that belong to it, belong to the new one."""
    first = made[0].model_copy(update=fields)
    rest = (draft.model_copy(update={"parent": first}) if draft.parent is made[0] else draft for draft in made[1:])
    return [first, *rest]


def _said_and_called(message: Message) -> list[BlockDraft]:
    role, author = _name(message.get("role")), _name(message.get("name"))
    if role != "assistant":
        text, parts = _content(message.get("content"))
        return [BlockDraft(role=role, author=author, text=text, parts=parts, usage=_usage(message))]
    return _turn(message, author)


def _turn(message: Message, author: str | None) -> list[BlockDraft]:
    """An assistant's message: reasoning, what was said where something was, the calls."""
    text, parts = _said(message)
    thoughts = _thoughts(message)
    calls = _call_specs(message)
    made = [BlockDraft(type="reasoning", role="assistant", author=author, text=thought) for thought in thoughts]
    usage = _usage(message)
    spoken: BlockDraft | None = None
    if text or parts or not (made or calls):
        spoken = BlockDraft(role="assistant", author=author, text=text, parts=parts, usage=usage)
        made.append(spoken)
        usage = None
    for name, arguments, call_id in calls:
        options = writing.BlockOptions(author=author, parent=spoken, usage=usage)
        made.append(writing.function_call(name, arguments, call_id, options))
        usage = None
    return made


def _said(message: Message) -> tuple[str, tuple[Part, ...]]:
    """Text and parts of an assistant's message; a refusal and a spoken answer are said too."""
    text, parts = _content(message.get("content"))
    audio = message.get("audio")
    spoken = audio if isinstance(audio, dict) else {}
    if not text and not parts:
        text = next((said for said in (message.get("refusal"), spoken.get("transcript")) if isinstance(said, str)), "")
    part = audio_part(spoken.get("data"))
    return text, parts if part is None else (*parts, part)


def _content(content: JsonValue) -> tuple[str, tuple[Part, ...]]:
    """Text and parts of a message's content. A list's leading text is the block's text, where readers look for it."""
    if not isinstance(content, list):
        return (content, ()) if isinstance(content, str) else ("", ())
    parts = [part for part in map(to_part, content) if part is not None]
    if parts and parts[0].type == "text":
        return parts[0].text or "", tuple(parts[1:])
    return "", tuple(parts)


def _thoughts(message: Message) -> list[str]:
    """The reasoning in a message, each text once: of its own fields, and of `thinking` items in the content."""
    found = [message.get(key) for key in _REASONING_KEYS]
    content = message.get("content")
    for item in content if isinstance(content, list) else ():
        if isinstance(item, dict) and item.get("type") == "thinking":
            thinking = item.get("thinking")
            found.extend(_texts(thinking) if isinstance(thinking, list) else [thinking])
    return list(dict.fromkeys(text for text in found if isinstance(text, str) and text))


def _texts(items: Sequence[JsonValue]) -> list[JsonValue]:
    return [item.get("text") for item in items if isinstance(item, dict)]


def _call_specs(message: Message) -> list[tuple[str, JsonValue, str | None]]:
    """Name, arguments and id of each call that has a name; the arguments as text where they were text or missing."""
    given = message.get("tool_calls")
    listed = given if isinstance(given, list) else []
    legacy = message.get("function_call")
    specs = [_call_spec(call) for call in [*listed, *([{"function": legacy}] if isinstance(legacy, dict) else [])]]
    return [spec for spec in specs if spec is not None]


def _call_spec(call: JsonValue) -> tuple[str, JsonValue, str | None] | None:
    if not isinstance(call, dict):
        return None
    function = call.get("function", call.get("custom"))
    named = {**call, "name": function} if isinstance(function, str) else call
    fields = function if isinstance(function, dict) else named
    name = _name(fields.get("name"))
    arguments = fields.get("arguments", fields.get("input"))
    return None if name is None else (name, "" if arguments is None else arguments, _name(call.get("id")))


def _result(message: Message, drafts: Sequence[BlockDraft], calls: OpenCalls[int]) -> BlockDraft:
    text, parts = _content(message.get("content"))
    call_id, name = _name(message.get("tool_call_id")), _name(message.get("name"))
    place = calls.answer(call_id, name)
    call = None if place is None else drafts[place]
    is_error = message.get("is_error") is True
    options = writing.BlockOptions(parts=parts, usage=_usage(message))
    return writing.function_result(text, call, call_id, name, is_error, options)


def _usage(message: Message) -> dict[str, JsonValue] | None:
    return next((usage for key in _USAGE_KEYS if isinstance(usage := message.get(key), dict)), None)


def _name(value: JsonValue) -> str | None:
    """The value if it can be a name in a block; what cannot is noted beside it."""
    valid = isinstance(value, str) and 0 < len(value) <= checks.MAX_NAME and "\0" not in value
    return value if valid else None


def _no_bytes(part: Part) -> bytes:
    raise AssertionError(f"a draft's part has its bytes with it: {part}")
