"""What LangChain's messages hold, as blocks have it. Messages are known by their attributes, not by their classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from chatstore.formats.openai_parts import to_part
from chatstore.model import JsonValue, Part, PartType
from chatstore.recorders.shared.provider_events import known, plain

_TEXTS: Final = {"text": "text", "text_delta": "text", "output_text": "text", "refusal": "refusal"}
_CALLS: Final = frozenset(
    {"tool_use", "input_json_delta", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"}
)
"""What messages have in `tool_calls` and `tool_call_chunks` too."""
_MEDIA: Final[Mapping[str, PartType]] = {"image": "image", "audio": "audio", "video": "file", "file": "file"}


class Piece(NamedTuple):
    """Something that a message says: `text`, `reasoning`, or `other`, which is in `data` as it came."""

    kind: str
    text: str
    data: dict[str, Any]


def pieces(message: Any) -> Iterator[Piece]:
    """What a message or a chunk of one says, in order, without its calls."""
    added = getattr(message, "additional_kwargs", None)
    if added and isinstance(thought := added.get("reasoning_content"), str) and thought:
        yield Piece("reasoning", thought, {})
    content = getattr(message, "content", None)
    if isinstance(content, str):
        if content:
            yield Piece("text", content, {})
        return
    for item in content if isinstance(content, list) else ():
        yield from _item(item)


def _item(item: Any) -> Iterator[Piece]:
    if isinstance(item, str):
        yield Piece("text", item, {})
        return
    type = item.get("type") if isinstance(item, dict) else None
    if type in _TEXTS:
        noted = item.get("annotations") or item.get("citations")
        refused = {"refusal": True} if type == "refusal" else {}
        yield Piece("text", str(item.get(_TEXTS[type]) or ""), {**refused, **known(annotations=noted or None)})
    elif type in ("thinking", "reasoning", "reasoning_content", "redacted_thinking"):
        yield _thought(type, item)
    elif type is not None and type not in _CALLS:
        yield Piece("other", "", item)


def _thought(type: str, item: dict[str, Any]) -> Piece:
    """Thoughts of Anthropic's, OpenAI's and Bedrock's models, and as LangChain writes all of them."""
    inner = item.get("reasoning_content")
    told = {**item, **inner} if isinstance(inner, dict) else item
    text = told.get("thinking") or told.get("reasoning") or told.get("text") or ""
    if not text and isinstance(summary := told.get("summary"), list):
        text = "\n\n".join(str(one.get("text", "")) for one in summary if isinstance(one, dict))
    extras = told.get("extras") if isinstance(told.get("extras"), dict) else {}
    data = known(
        signature=told.get("signature") or (extras or {}).get("signature"),
        encrypted_content=told.get("encrypted_content") or (extras or {}).get("encrypted_content"),
        redacted_thinking=told.get("data") if type == "redacted_thinking" else None,
    )
    return Piece("reasoning", str(text), data)


def source_of(message: Any) -> dict[str, Any]:
    """The model's name and the message's id."""
    told = getattr(message, "response_metadata", None) or {}
    return known(model=told.get("model_name") or told.get("model"), message_id=getattr(message, "id", None))


def reason_of(generation: Any, message: Any) -> str | None:
    """Why the model stopped."""
    told = {
        **(getattr(generation, "generation_info", None) or {}),
        **(getattr(message, "response_metadata", None) or {}),
    }
    found = told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason")
    if found is None and isinstance(details := told.get("incomplete_details"), dict):
        found = details.get("reason")
    return found if isinstance(found, str) else None


def usage_of(message: Any, response: Any) -> dict[str, JsonValue] | None:
    """What the model took for it, as the message says, or else the whole response."""
    found = getattr(message, "usage_metadata", None)
    if not found and isinstance(told := getattr(response, "llm_output", None), dict):
        found = told.get("token_usage") or told.get("usage")
    usage = plain(found) if found else None
    return usage if isinstance(usage, dict) else None


def calls_of(message: Any) -> list[tuple[Any, Any, str]]:
    """Id, name and arguments of the calls of a message, also of those whose arguments are no JSON."""
    made = [
        (one, json.dumps(one.get("args"), ensure_ascii=False, default=str))
        for one in getattr(message, "tool_calls", None) or ()
    ]
    made += [(one, str(one.get("args") or "")) for one in getattr(message, "invalid_tool_calls", None) or ()]
    return [(one.get("id"), one.get("name"), text) for one, text in made]


def content_of(message: Any) -> tuple[str, list[Part]]:
    """Text and parts of a message that was not made by a model. Text that it begins with is its text."""
    parts: list[Part] = []
    for kind, text, data in pieces(message):
        part = Part(type="text", text=text) if kind == "text" and text else media(data)
        if part is not None:
            parts.append(part)
    texts = [part.text for part in parts if part.type == "text"]
    if len(texts) == len(parts):
        return "".join(text or "" for text in texts), []
    if parts[0].type == "text":
        return parts[0].text or "", parts[1:]
    return "", parts


def media(item: Mapping[str, Any]) -> Part | None:
    """The part that an item of a message's content is, as LangChain, OpenAI or Anthropic write it."""
    if (part := to_part(dict(item))) is not None:
        return part
    type = _MEDIA.get(str(item.get("type")))
    if type is None:
        return None
    told = {**item, **item["source"]} if isinstance(item.get("source"), dict) else item
    mime_type = told.get("mime_type") or told.get("media_type")
    if isinstance(url := told.get("url"), str):
        return Part(type=type, mime_type=mime_type, url=url)
    encoded = told.get("base64") or told.get("data")
    if not isinstance(encoded, str):
        return None
    found = to_part(
        {"type": "image_url", "image_url": f"data:{mime_type or 'application/octet-stream'};base64,{encoded}"}
    )
    return None if found is None else found.model_copy(update={"type": type})


def new_messages(given: Any) -> list[Any]:
    """What came last of the messages that an invocation was given: those of people, and results of tools, behind
    what a model said. All before that was said in earlier turns."""
    found: list[Any] = []
    for message in reversed(_as_messages(given)):
        if type_of(message) not in ("human", "tool"):
            break
        found.append(message)
    return found[::-1]


def _as_messages(given: Any) -> list[Any]:
    """The messages of an input, which may be written as tuples and dicts."""
    if isinstance(given, Mapping):
        given = given.get("messages")
    elif not isinstance(given, (str, list, tuple)) and not hasattr(given, "content"):
        told = getattr(given, "to_messages", None)
        given = told() if callable(told) else getattr(given, "messages", None)
    if not given:
        return []
    if all(hasattr(one, "content") for one in (given if isinstance(given, list) else [given])):
        return given if isinstance(given, list) else [given]
    from langchain_core.messages import convert_to_messages

    try:
        made: list[Any] = convert_to_messages([given] if isinstance(given, (str, dict)) else given)
    except Exception:  # whatever a state of somebody's own calls its messages
        return []
    return made


def type_of(message: Any) -> str | None:
    """`human`, `ai`, `tool`, `system`; None for what is no message."""
    found = getattr(message, "type", None)
    if not isinstance(found, str) or not hasattr(message, "content"):
        return None
    return {"HumanMessageChunk": "human", "AIMessageChunk": "ai", "ToolMessageChunk": "tool"}.get(found, found)


def messages_in(value: Any) -> Iterator[Any]:
    """The messages that a node of a graph was given, or gave: as they are, in lists, or in the fields of a state."""
    if type_of(value) is not None:
        yield value
    elif is_command(value):
        yield from messages_in(value.update)
    elif isinstance(value, (list, tuple)):
        for one in value:
            if type_of(one) is not None or is_command(one) or isinstance(one, (tuple, dict)):
                yield from messages_in(one)
    else:
        for one in _fields(value):
            if type_of(one) is not None or isinstance(one, list):
                yield from (one for one in (one if isinstance(one, list) else [one]) if type_of(one) is not None)


def _fields(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return vars(value).values() if hasattr(value, "__dict__") else ()


def is_command(value: Any) -> bool:
    """Whether it is a Command of LangGraph's, or looks like one."""
    return type(value).__name__ == "Command" and hasattr(value, "goto")


def commands_in(value: Any) -> list[Any]:
    """The commands that a tool or a node gave."""
    return [one for one in (value if isinstance(value, (list, tuple)) else [value]) if is_command(one)]


def targets_of(command: Any) -> list[str]:
    """The names of the nodes that a command goes to."""
    goto = command.goto if isinstance(command.goto, (list, tuple)) else [command.goto]
    found = [one if isinstance(one, str) else getattr(one, "node", None) for one in goto]
    return [one for one in found if isinstance(one, str) and one and not one.startswith("__")]
