"""Events that were captured give the blocks that their teams gave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from autogen_events import captured
from recorded import CONTEXT, texts

from chatstore import AsyncChatStore, Block
from chatstore.recorders.autogen import record


async def stream(events: list[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


async def stored(store: AsyncChatStore, case: str, **options: Any) -> list[Block]:
    history, events = store.history(CONTEXT), captured(case)
    given = [event async for event in record(stream(events), history, strict=True, **options)]
    assert all(one is other for one, other in zip(given, events, strict=True))
    [run] = await history.runs()
    assert run.state == "completed"
    return await history.get_messages()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("roundrobin_stream", ["add 2 and 3", "the sum is 5", "Final answer: five. APPROVE"]),
        ("roundrobin_nostream_summary", ["5", "APPROVE five"]),
        ("selector_stream", ["do it", "plan: ask coder", "code done APPROVE"]),
        ("tool_errors_parallel", ["x", "recovered"]),
        ("agent_on_messages_stream", ["hello there friend"]),
        ("swarm_handoff", ["go", "bob here APPROVE"]),
        ("society_of_mind", ["solve", "inner draft", "inner APPROVE", "society final answer"]),
        ("user_proxy", ["x", "draft", "APPROVE by human"]),
        ("tool_loop", ["x", "4 it is"]),
    ],
)
async def test_messages_are_there_once(async_store: AsyncChatStore, case: str, said: list[str]) -> None:
    blocks = await stored(async_store, case)
    assert texts(blocks, "message") == said
    assert {block.state for block in blocks} == {"closed"}


async def test_results_and_whether_they_are_errors(async_store: AsyncChatStore) -> None:
    blocks = await stored(async_store, "tool_errors_parallel")
    results = [block for block in blocks if block.type == "function_result"]
    assert [block.data["is_error"] for block in results] == [True, True, False, False]
    assert [block.parent_id for block in results] == [block.id for block in blocks if block.type == "function_call"]


async def test_the_other_types(async_store: AsyncChatStore) -> None:
    blocks = await stored(async_store, "swarm_handoff")
    assert [block.type for block in blocks] == ["message", "function_call", "function_result", "handoff", "message"]


async def test_the_final_agent_alone(async_store: AsyncChatStore) -> None:
    blocks = await stored(async_store, "roundrobin_stream", shown=["writer"], streamed=["writer"])
    assert [block.text for block in blocks if block.type == "message" and not block.internal] == [
        "add 2 and 3",
        "Final answer: five. APPROVE",
    ]
    assert [block.author for block in blocks if block.tags] == ["writer"]


@pytest.mark.parametrize(("case", "open_then"), [("model_error", 0), ("cancelled", 1)])
async def test_a_stream_that_breaks_off(async_store: AsyncChatStore, case: str, open_then: int) -> None:
    history, events = async_store.history(CONTEXT), captured(case)
    given = [event async for event in record(stream(events), history, strict=True)]
    assert given == events
    [run] = await history.runs()
    assert (run.state, run.error and run.error.type) == ("failed", "StreamTruncated")
    assert len(await history.get_messages(states=["failed"])) == open_then
