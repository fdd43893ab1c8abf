"""What runs of the Agents SDK cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatstore.recorders.shared.lenient import Lenient
from chatstore.recorders.shared.provider_events import plain

_COUNTED: Final = ("requests", "input_tokens", "output_tokens", "total_tokens")


def spent_by(result: Any) -> dict[str, Any]:
    """What a run cost so far, with those that are part of it."""
    usage = Lenient(getattr(getattr(result, "context_wrapper", None), "usage", None))
    found: dict[str, Any] = {name: value for name in _COUNTED if isinstance(value := getattr(usage, name), int)}
    for name in ("input_tokens_details", "output_tokens_details"):
        if (details := getattr(usage, name)) is not None:
            found[name] = plain(details)
    return found


def more(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Sums, member by member."""
    found = dict(one)
    for name, value in other.items():
        if isinstance(value, Mapping):
            found[name] = more(found.get(name) or {}, value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = (found.get(name) or 0) + value
    return found


def less(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Differences, member by member."""
    return more(one, _negative(other))


def _negative(usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _negative(value) if isinstance(value, Mapping) else -value
        for name, value in usage.items()
        if isinstance(value, (Mapping, int, float)) and value is not None
    }
