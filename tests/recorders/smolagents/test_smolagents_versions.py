"""Events of a version that has a field less are recorded without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from smolagents_events import captured

from chatstore import ChatStore
from chatstore.recorders.smolagents import record

CASES = ["code_stream_plan", "tool_parallel", "tool_error", "code_max_steps", "code_nostream_outputs"]


def without(event: Any, field: str) -> Any:
    """An event that never had the field."""
    if field not in vars(event):
        return event
    made = type(type(event).__name__, (), {})()
    for name, value in vars(event).items():
        if name != field:
            setattr(made, name, value)
    return made


def fields() -> Iterator[str]:
    yield from ("content", "tool_calls", "token_usage", "model_output_message", "model_output", "plan", "output")
    yield from ("id", "name", "arguments", "observation", "observations", "tool_call", "is_final_answer", "error")
    yield from ("code_action", "observations_images", "step_number", "timing", "action_output")


@pytest.mark.parametrize("case", CASES)
def test_a_field_less(store: ChatStore, case: str) -> None:
    for field in fields():
        history, events = store.history(field), [without(event, field) for event in captured(case)]
        assert [*record(iter(events), history, strict=True)] == events
        [run] = history.runs()
        assert (field, run.state) == (field, "completed")
        assert not history.get_messages(states=["open"])
