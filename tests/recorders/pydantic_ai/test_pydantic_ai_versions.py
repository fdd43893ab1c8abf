"""Events of a version that has a field less are recorded without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_agents import whole

from chatstore import AsyncChatStore
from chatstore.recorders.pydantic_ai import record

FIELDS = ["index", "part", "delta", "tool_name", "args", "tool_call_id", "content", "content_delta", "args_delta"]
FIELDS += ["part_kind", "signature", "signature_delta", "outcome", "output", "provider_name", "id", "result"]


def without(value: Any, field: str) -> Any:
    """An object that never had the field, nor those that it holds."""
    if not hasattr(type(value), "__dataclass_fields__"):
        return value
    names = [name for name in type(value).__dataclass_fields__ if name != field and hasattr(value, name)]
    return SimpleNamespace(**{name: without(getattr(value, name), field) for name in names})


async def stream(events: list[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


@pytest.mark.parametrize("field", FIELDS)
async def test_a_field_less(async_store: AsyncChatStore, field: str) -> None:
    history, events = async_store.history("one"), [without(event, field) for event in whole()]
    given = [event async for event in record(stream(events), history, strict=True)]
    assert all(one is other for one, other in zip(given, events, strict=True))
    assert [run.state for run in await history.runs()] == ["completed"]
    assert not await history.get_messages(states=["open"])
