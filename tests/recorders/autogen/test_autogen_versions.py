"""Events of a version that has a field less are recorded without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from autogen_events import captured

from chatstore import AsyncChatStore
from chatstore.recorders.autogen import record

CASES = ["roundrobin_stream", "selector_stream", "tool_errors_parallel", "swarm_handoff", "user_proxy"]
CASES += ["agent_on_messages_stream", "roundrobin_nostream_summary"]
FIELDS = ["id", "source", "models_usage", "metadata", "content", "full_message_id", "request_id", "target", "context"]
FIELDS += ["messages", "stop_reason", "chat_message", "inner_messages", "to_text"]


def without(event: Any, field: str) -> Any:
    """An event that never had the field, of a class with the same name and the same bases by name."""
    if field != "to_text" and field not in vars(event):
        return event
    base: type = object
    for one in reversed(type(event).__mro__[:-1]):
        base = type(one.__name__, (base,), {})
    made = base()
    for name, value in vars(event).items():
        if name != field:
            setattr(made, name, value)
    return made


async def stream(events: list[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


@pytest.mark.parametrize("case", CASES)
async def test_a_field_less(async_store: AsyncChatStore, case: str) -> None:
    for field in FIELDS:
        history, events = async_store.history(field), [without(event, field) for event in captured(case)]
        given = [event async for event in record(stream(events), history, strict=True)]
        assert all(one is other for one, other in zip(given, events, strict=True))
        [run] = await history.runs()
        assert (field, run.state) == (field, "completed")
        assert not await history.get_messages(states=["open"])
