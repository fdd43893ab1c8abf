"""Events that were captured give the blocks that their agents gave."""

from __future__ import annotations

from typing import Any

import pytest
from recorded import CONTEXT, texts, usage_of
from scripted_model import ADDING, ANSWERING, PLAN
from smolagents_events import captured

from chatstore import Block, ChatStore
from chatstore.recorders.smolagents import record

DELTAS = {"code_stream_plan": 25, "tool_stream": 13, "tool_parallel": 18, "code_nostream_outputs": 0}


def stored(store: ChatStore, case: str) -> list[Block]:
    history, events = store.history(CONTEXT), captured(case)
    given = [*record(iter(events), history, prompt="Add 2 and 3", strict=True)]
    assert all(one is other for one, other in zip(given, events, strict=True))
    return history.get_messages()


@pytest.mark.parametrize("case", DELTAS)
def test_what_was_captured_is_what_was_counted(case: str) -> None:
    events = captured(case)
    assert sum(type(event).__name__ == "ChatMessageStreamDelta" for event in events) == DELTAS[case]


def test_a_plan_and_two_steps(store: ChatStore) -> None:
    blocks = stored(store, "code_stream_plan")
    assert texts(blocks, "reasoning") == [PLAN, ADDING, ANSWERING]
    assert usage_of(blocks, "input_tokens", "output_tokens") == [33, 15]
    assert [block.text for block in blocks if block.type == "message"] == ["Add 2 and 3", "5"]


@pytest.mark.parametrize(
    ("case", "results", "failed"),
    [
        ("tool_stream", ["5", "The sum is 5"], []),
        ("tool_parallel", ["fast", "slow", "done"], []),
        ("tool_from_text", ["2", "2"], []),
        ("tool_error", ["done"], ["boom"]),
        ("code_exec_error_then_ok", ["Execution logs:\nLast output from code snippet:\nok"], ["python_interpreter"]),
    ],
)
def test_calls_and_their_results(store: ChatStore, case: str, results: list[str], failed: list[str]) -> None:
    blocks = stored(store, case)
    assert texts(blocks, "function_result") == results
    assert [block.data["name"] for block in blocks if block.state == "failed"] == failed
    calls = {block.id: block for block in blocks if block.type == "function_call"}
    for result in (block for block in blocks if block.type == "function_result"):
        assert calls[result.parent_id or ""].data["call_id"] == result.data["call_id"]


@pytest.mark.parametrize(
    ("case", "types"),
    [
        ("code_parse_error", ["reasoning", "error"]),
        ("code_max_steps", ["reasoning", "function_call", "function_result", "error", "message"]),
        ("code_nostream_outputs", ["function_call", "reasoning", "function_result"]),
        ("managed_agent", ["reasoning", "function_call", "function_result", "message"]),
    ],
)
def test_the_order_of_blocks(store: ChatStore, case: str, types: list[str]) -> None:
    assert [block.type for block in stored(store, case)][1:][: len(types)] == types


def test_a_model_that_broke_off(store: ChatStore) -> None:
    events = captured("code_model_error_midstream")

    def raising() -> Any:
        yield from events
        raise RuntimeError("connection reset")

    history = store.history(CONTEXT)
    with pytest.raises(RuntimeError):
        [*record(raising(), history, strict=True)]
    assert [(block.state, block.text) for block in history.get_messages()] == [("failed", "Thought: add t")]
    assert history.runs()[0].state == "failed"
