"""Traces that the encoder of ag-ui-protocol wrote, as `chatstore import` reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ag_ui.core import events as told
from ag_ui.core.types import AssistantMessage, FunctionCall, ToolCall, ToolMessage, UserMessage
from ag_ui.encoder import EventEncoder
from typer.testing import Result

from chatstore import ChatStore


def test_messages_of_a_snapshot_and_of_events_are_one_conversation(
    store: ChatStore, importing: Callable[..., Result], tmp_path: Path
) -> None:
    call = ToolCall(id="c1", function=FunctionCall(name="add", arguments='{"a": 2}'))
    before = [
        UserMessage(id="u1", content="2 + 3?", name="ann"),
        AssistantMessage(id="a1", content="I add.", tool_calls=[call]),
        ToolMessage(id="t1", tool_call_id="c1", content="5"),
    ]
    events = [
        told.RunStartedEvent(thread_id="t", run_id="r"),
        told.MessagesSnapshotEvent(messages=before),
        told.ReasoningStartEvent(message_id="th"),
        told.ReasoningMessageStartEvent(message_id="th", role="reasoning"),
        told.ReasoningMessageContentEvent(message_id="th", delta="Easy."),
        told.ReasoningMessageEndEvent(message_id="th"),
        told.ReasoningEndEvent(message_id="th"),
        told.TextMessageStartEvent(message_id="a2", role="assistant"),
        told.TextMessageContentEvent(message_id="a2", delta="It is "),
        told.TextMessageContentEvent(message_id="a2", delta="5."),
        told.TextMessageEndEvent(message_id="a2"),
        told.StateDeltaEvent(delta=[{"op": "add", "path": "/a", "value": 1}]),
        told.RunFinishedEvent(thread_id="t", run_id="r", result={"sum": 5}),
    ]
    (tmp_path / "trace.sse").write_text("".join(map(EventEncoder().encode, events)))
    result = importing(tmp_path / "trace.sse")
    assert (result.exit_code, result.stderr) == (0, "")
    blocks = store.history("t").get_messages(kind="trace")
    assert [(block.type, block.author, block.text) for block in blocks] == [
        ("message", "ann", "2 + 3?"),
        ("message", None, "I add."),
        ("function_call", None, '{"a": 2}'),
        ("function_result", None, "5"),
        ("reasoning", None, "Easy."),
        ("message", None, "It is 5."),
        ("state_delta", None, ""),
        ("run_ended", None, ""),
    ]
    assert [block.parent_id for block in blocks[2:4]] == [blocks[1].id, blocks[2].id]
    assert blocks[-1].data["result"] == {"sum": 5}
