"""The events that agents of smolagents were seen to yield, as the objects that they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import smolagents.utils
from data_support import data_files
from smolagents.agents import ActionOutput, ToolOutput
from smolagents.memory import ActionStep, FinalAnswerStep, PlanningStep, ToolCall
from smolagents.models import (
    ChatMessage,
    ChatMessageStreamDelta,
    ChatMessageToolCallFunction,
    ChatMessageToolCallStreamDelta,
    MessageRole,
)
from smolagents.monitoring import Timing, TokenUsage


def captured(case: str) -> list[Any]:
    """The events of a case."""
    [file] = data_files("framework_events/smolagents_events.json")
    cases = json.loads(file.read_text())["cases"]
    [found] = [one for one in cases if one.get("case") == case]
    return [*_events(found["events"])]


def _events(events: list[dict[str, Any]]) -> Iterator[Any]:
    before: tuple[Any, Any] = (None, None)
    for event in events:
        made = before[1] if event == before[0] else _event(event["type"], dict(event["fields"]))
        yield made
        before = event, made if event["type"] == "ActionStep" else None


def _event(kind: str, fields: dict[str, Any]) -> Any:
    if kind == "ChatMessageStreamDelta":
        calls = [_delta(call) for call in fields["tool_calls"] or ()]
        return ChatMessageStreamDelta(fields["content"], calls or None, _usage(fields["token_usage"]))
    if kind == "ToolCall":
        return _call(fields)
    if kind == "ToolOutput":
        return ToolOutput(**{**fields, "tool_call": _call(fields["tool_call"])})
    if kind == "ActionOutput":
        return ActionOutput(**fields)
    if kind == "FinalAnswerStep":
        return FinalAnswerStep(**fields)
    fields["timing"] = Timing(0.0)
    fields["token_usage"] = _usage(fields["token_usage"])
    fields["model_output_message"] = _message(fields["model_output_message"])
    if kind == "PlanningStep":
        return PlanningStep(**fields)
    fields["tool_calls"] = [_call(call) for call in fields["tool_calls"]]
    fields["error"] = _error(fields["error"])
    return ActionStep(**fields)


def _delta(call: dict[str, Any]) -> ChatMessageToolCallStreamDelta:
    return ChatMessageToolCallStreamDelta(**{**call, "function": ChatMessageToolCallFunction(**call["function"])})


def _call(call: dict[str, Any]) -> ToolCall:
    return ToolCall(call["function"]["name"], call["function"]["arguments"], call["id"])


def _usage(usage: dict[str, int] | None) -> TokenUsage | None:
    return None if usage is None else TokenUsage(usage["input_tokens"], usage["output_tokens"])


def _message(message: dict[str, Any] | None) -> ChatMessage | None:
    return None if message is None else ChatMessage(MessageRole.ASSISTANT, message["content"])


def _error(error: dict[str, str] | None) -> Any:
    if error is None:
        return None
    kind = getattr(smolagents.utils, error["type"])
    made = kind.__new__(kind, error["message"])  # without a logger to print it
    made.message = error["message"]
    return made


def with_tools() -> list[Any]:
    """A run that calls a tool."""
    return captured("tool_stream")


def with_code() -> list[Any]:
    """A run that plans and writes code."""
    return captured("code_stream_plan")
