"""The events that teams of AutoGen were seen to yield, as the objects that they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from autogen_agentchat import messages
from autogen_agentchat.base import Response, TaskResult
from data_support import data_files


def captured(case: str) -> list[Any]:
    """The events of a case."""
    [file] = data_files("framework_events/autogen_events.json")
    cases = json.loads(file.read_text())["cases"]
    [found] = [one for one in cases if one.get("case") == case]
    return [*_events(found["events"])]


def _events(events: list[dict[str, Any]]) -> Iterator[Any]:
    said: list[Any] = []
    for event in events:
        if event["type"] == "TaskResult":
            assert len(said) >= event["dump"]["n"] if "dump" in event else True
            yield TaskResult(messages=said)
        elif event["type"] == "Response":
            yield Response(chat_message=_message(event["chat_message"]), inner_messages=[])
        else:
            made = _message(event)
            said += [made] if event["type"] != "ModelClientStreamingChunkEvent" else []
            yield made


def _message(event: dict[str, Any]) -> Any:
    return getattr(messages, event["type"]).model_validate(event["dump"])


def of_a_team() -> list[Any]:
    """A run of a team that does not say its task."""
    return captured("roundrobin_stream")[1:]


def of_an_agent() -> list[Any]:
    """An answer of one agent."""
    return captured("agent_on_messages_stream")
