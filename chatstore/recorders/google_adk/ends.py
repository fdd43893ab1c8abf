"""What events of Google's Agent Development Kit say about whether more is to come."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Final

from chatstore.recorders.shared.lenient import Lenient, each

_NO_FURTHER: Final = (
    "skip_summarization",
    "escalate",
    "transfer_to_agent",
    "requested_auth_configs",
    "requested_tool_confirmations",
    "end_of_agent",
)
"""Actions behind which the agent that called a tool need not say anything."""
_SPOKEN: Final = ("turn_complete", "interrupted", "input_transcription", "output_transcription", "live_session_id")
_OF_EVENTS: Final = ("author", "actions", "invocation_id")


def is_event(value: Any) -> bool:
    """Whether it looks like an event, also of a version that has one of the attributes no more."""
    return sum(hasattr(value, name) for name in _OF_EVENTS) > 1


class Owed:
    """Whether the model is to be told what tools gave, and has said nothing about it yet.

    `slow`: the calls that are answered some time. A model that is spoken with may be left at any time.
    """

    def __init__(self) -> None:
        self.slow: set[str] = set()
        self._owed = self._live = False

    @property
    def now(self) -> bool:
        """Whether it owes an answer."""
        return self._owed and not self._live

    def hear(self, event: Lenient, kinds: Set[str]) -> None:
        """An event that is whole, of these kinds of parts."""
        self._live = self._live or any(getattr(event, name) is not None for name in _SPOKEN)
        if "function_response" in kinds:
            given = [Lenient(part.function_response).id for part in each(Lenient(event.content).parts)]
            self._owed = not self.slow.issuperset(given) and not _goes_no_further(event)
        elif kinds or _says_nothing(event):
            self._owed = False


def _goes_no_further(event: Lenient) -> bool:
    """Whether an event may be the last of its agent though it holds what a tool gave."""
    actions = Lenient(event.actions)
    return bool(event.long_running_tool_ids) or any(getattr(actions, name) for name in _NO_FURTHER)


def _says_nothing(event: Lenient) -> bool:
    """Whether an event without parts is an answer of a model that has nothing to say, or ends what an agent does."""
    told = (event.finish_reason, event.usage_metadata, event.error_code, event.output)
    return any(value is not None for value in told) or _goes_no_further(event)
