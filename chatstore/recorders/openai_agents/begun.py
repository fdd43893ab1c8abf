"""How far a run of the Agents SDK was as its recording began.

A run goes on by itself from the moment that it is started: when its events are asked for, whole turns of it may be
over. What it emitted meanwhile waits in the queue of its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatstore.recorders.openai_agents.usage import less, more, spent_by
from chatstore.recorders.shared.provider_events import member, plain

_BY_THE_SERVER: Final = ("_conversation_id", "_previous_response_id", "_auto_previous_response_id")


@dataclass(slots=True)
class Begun:
    """What a run was given; whether it goes on from a run before, with the items and the cost of that."""

    resumed: bool = False
    given: Any = None
    before: list[Any] = field(default_factory=list)
    spent: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, result: Any) -> Begun:
        """As it is now."""
        if result is None:
            return cls()
        events = [*getattr(getattr(result, "_event_queue", None), "_queue", ())]
        own = {id(getattr(event, "item", None)) for event in events}
        before = [one for one in getattr(result, "new_items", None) or () if id(one) not in own]
        if not _resumed(result, before):
            # The input has before it what the session remembers, once that was read.
            given = getattr(result, "_original_input_for_persistence", None) or getattr(result, "input", None)
            return cls(given=given)
        return cls(True, None, before, less(spent_by(result), _spent_on(events)))


def goes_on(result: Any) -> bool | None:
    """Whether a run goes on from one before, as the result tells once the run has prepared its input; else None.

    The package marks input that has long been said as given to the session, and has none to give.
    """
    to_give = getattr(result, "_original_input_for_persistence", None)
    if to_give is None or any(getattr(result, name, None) for name in _BY_THE_SERVER):
        return None
    return bool(getattr(result, "_stream_input_persisted", False)) and not to_give


def _resumed(result: Any, before: list[Any]) -> bool:
    told = goes_on(result)
    if told is not None:
        return told
    if getattr(result, "_original_input_for_persistence", None) is None:  # it has done nothing yet
        return bool(getattr(result, "new_items", None) or getattr(result, "raw_responses", None))
    return bool(before)


def _spent_on(events: list[Any]) -> dict[str, Any]:
    """What the answers cost whose ends are among these events."""
    spent: dict[str, Any] = {}
    for event in events:
        said = getattr(event, "data", None)
        usage = plain(member(member(said, "response"), "usage")) if member(said, "type") == "response.completed" else {}
        if isinstance(usage, Mapping) and usage:
            spent = more(spent, {"requests": 1, **usage})
    return spent
