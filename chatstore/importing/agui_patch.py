"""JSON Patch, as far as deltas of activities use it: https://www.rfc-editor.org/rfc/rfc6902."""

from __future__ import annotations

from typing import Any

from chatstore.importing.values import objects, text_of
from chatstore.model import JsonValue


def patched(value: JsonValue, patch: JsonValue) -> JsonValue:
    """The value, changed in its place. Operations that do not fit, or only move or test, are passed by."""
    found: Any = value if isinstance(value, (dict, list)) else {}
    for operation in objects(patch):
        path, op = text_of(operation.get("path")), operation.get("op")
        if op not in ("add", "replace", "remove") or path is None:
            continue
        if not path.startswith("/"):
            found = operation.get("value") if path == "" and op != "remove" else found
            continue
        *above, last = (part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])
        holder = _at(found, above)
        if isinstance(holder, dict):
            _in_object(holder, last, op, operation.get("value"))
        elif isinstance(holder, list):
            _in_list(holder, last, op, operation.get("value"))
    return found


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _in_object(holder: dict[str, Any], name: str, op: Any, value: JsonValue) -> None:
    if op == "remove":
        holder.pop(name, None)
    else:
        holder[name] = value


def _in_list(holder: list[Any], name: str, op: Any, value: JsonValue) -> None:
    place = len(holder) if name == "-" else int(name) if name.isdecimal() and len(name) < 10 else None
    if place is None or place > len(holder):
        return
    if op == "add":
        holder.insert(place, value)
    elif place < len(holder) and op == "replace":
        holder[place] = value
    elif place < len(holder):
        del holder[place]
