"""What scripts for the streams of model providers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chatstore.model import JsonValue, Tag
from chatstore.recorders.machine.script import Key, Mark, Put, Step, as_json

_BY_ITSELF: Final = frozenset({"stop", "end_turn", "stop_sequence", "tool_calls", "tool_use", "function_call"})
"""Why a model ends an answer that nothing stopped."""


def member(value: Any, name: str) -> Any:
    """A member of an event's object or dict; None where this version of the package has no such."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def members(value: Any) -> Mapping[str, Any]:
    """All members of an object or dict, to look for many: that pydantic has none of a name costs it a microsecond."""
    if isinstance(value, dict):
        return value
    found: dict[str, Any] = getattr(value, "__dict__", {})
    extra = getattr(value, "__pydantic_extra__", None)
    return {**found, **extra} if extra else found


def plain(value: Any) -> JsonValue:
    """What a provider gave, as JSON, without the members that it left out.

    The packages build their models unchecked: what a server sends that is not of their types is no reason to warn.
    """
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True, warnings=False)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items() if one is not None}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else as_json(value)


def known(**members: Any) -> dict[str, JsonValue]:
    """Those that are not None, as JSON."""
    return {name: plain(value) for name, value in members.items() if value is not None}


def stopped(last: Key | None, reason: str, details: Any = None) -> Iterable[Step]:
    """A tag for the last block of an answer that something stopped: a limit, a filter, a refusal.

    Where the answer has no block, a status says it.
    """
    if reason.lower() in _BY_ITSELF:
        return ()
    tags = [Tag(kind="stop_reason", name=reason, value=plain(details))]
    return (Put("status", text=reason, tags=tags) if last is None else Mark(last, tags),)
