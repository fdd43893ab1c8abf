"""What parts of contents of Google's Agent Development Kit hold, as blocks have it."""

from __future__ import annotations

import json
from typing import Any, Final

from chatstore.model import JsonValue, Part
from chatstore.recorders.machine.script import as_json
from chatstore.recorders.shared.lenient import Lenient
from chatstore.recorders.shared.media import part_type

_SECRET: Final = "adk_request_credential"
_COUNTS: Final = {
    "prompt_token_count": "input_tokens",
    "candidates_token_count": "output_tokens",
    "thoughts_token_count": "reasoning_tokens",
    "cached_content_token_count": "cache_read_tokens",
    "tool_use_prompt_token_count": "tool_use_input_tokens",
    "total_token_count": "total_tokens",
}


def kind_of(part: Lenient) -> str:
    """What a part is."""
    if part.function_call is not None:
        return "function_call"
    if part.function_response is not None:
        return "function_response"
    if part.executable_code is not None:
        return "code"
    if part.code_execution_result is not None:
        return "code_result"
    return "reasoning" if part.thought else "message"


def part_of(part: Lenient) -> Part | None:
    """Bytes, or a file by its address."""
    data, file = Lenient(part.inline_data), Lenient(part.file_data)
    if isinstance(data.data, bytes):
        return Part(type=part_type(data.mime_type), mime_type=data.mime_type, content=data.data, name=data.display_name)
    if isinstance(file.file_uri, str):
        return Part(type=part_type(file.mime_type), mime_type=file.mime_type, url=file.file_uri, name=file.display_name)
    return None


def arguments_of(call: Lenient) -> str:
    """The arguments of a call. Those that ask for a credential hold the secrets of the application."""
    args = as_json(call.args or {})
    if call.name == _SECRET and isinstance(args, dict):
        args = {name: value for name, value in args.items() if isinstance(value, str)}
    return json.dumps(args, ensure_ascii=False)


def answer_of(response: Any) -> tuple[str, JsonValue, bool]:
    """What a tool gave: text, the value where that says more, and whether it is an error."""
    native = as_json(response)
    if not isinstance(native, dict):
        return "" if native is None else json.dumps(native, ensure_ascii=False), None, False
    error = bool(native.get("error"))
    only = next(iter(native.values())) if len(native) == 1 and native.keys() & {"result", "error", "output"} else None
    if isinstance(only, str):
        return only, native, error
    return json.dumps(native if only is None else only, ensure_ascii=False), native, error


def usage_of(metadata: Any) -> dict[str, JsonValue] | None:
    """What a model took for it."""
    counts = Lenient(metadata)
    found: dict[str, JsonValue] = {}
    for name, ours in _COUNTS.items():
        if isinstance(amount := getattr(counts, name), int):
            found[ours] = amount
    return found or None


def name_of(value: Any) -> str | None:
    """A member of an enumeration."""
    return None if value is None else str(getattr(value, "value", value))
