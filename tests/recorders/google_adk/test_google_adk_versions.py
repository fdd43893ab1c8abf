"""Events of a version that has a field less are recorded without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from scripted_adk import whole

from chatstore import AsyncChatStore
from chatstore.recorders.google_adk import record

FIELDS = ["author", "branch", "node_info", "path", "content", "parts", "text", "thought", "function_call", "args"]
FIELDS += [
    "name",
    "id",
    "function_response",
    "response",
    "actions",
    "state_delta",
    "usage_metadata",
    "error_code",
    "output",
]
FIELDS += ["long_running_tool_ids", "transfer_to_agent", "finish_reason", "interrupted", "inline_data"]


def without(value: Any, field: str) -> Any:
    """An object that never had the field, nor those that it holds."""
    if isinstance(value, list):
        return [without(one, field) for one in value]
    if not isinstance(value, BaseModel):
        return value
    names = [name for name in type(value).model_fields if name != field]
    return SimpleNamespace(**{name: without(getattr(value, name), field) for name in names})


async def stream(events: list[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


@pytest.mark.parametrize("field", FIELDS)
async def test_a_field_less(async_store: AsyncChatStore, field: str) -> None:
    history, events = async_store.history("one"), [without(event, field) for event in whole()]
    given = [event async for event in record(stream(events), history, strict=True)]
    assert all(one is other for one, other in zip(given, events, strict=True))
    [run] = await history.runs()
    assert run.state == "completed"
    assert not await history.get_messages(states=["open"])
