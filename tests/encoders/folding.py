"""What strict clients make of the encoders' events: they refuse whatever the real ones refuse, and keep the rest."""

from __future__ import annotations

from typing import Any

from chatstore import Block

Event = dict[str, Any]


class AguiFold:
    """A client of AG-UI, with the rules of @ag-ui/client's verifyEvents and the effect of its defaultApplyEvents."""

    def __init__(self) -> None:
        self.messages: dict[str, Event] = {}
        self.runs: list[tuple[str, str]] = []
        self.open: set[tuple[str, str]] = set()
        self.subagents: dict[str, bool] = {}
        self.running: str | None = None
        self.ids: set[str] = set()

    def take(self, id: str, event: Event) -> None:
        assert id not in self.ids, f"{id} came twice"
        self.ids.add(id)
        assert None not in event.values()
        kind = event["type"]
        if kind == "RUN_STARTED":
            assert self.running is None, "a run begins in another"
            self.running = event["runId"]
            self.subagents = {}
        elif kind == "RUN_ERROR":
            self._over("error " + event["code"])
        elif kind == "RUN_FINISHED":
            assert event["runId"] == self.running
            assert not self.open and not any(self.subagents.values()), "something is open at the end of a run"
            self._over(event["outcome"]["type"])
        else:
            assert self.running is not None, f"{kind} outside of a run"
            getattr(self, "_" + kind.lower())(event)

    def _over(self, how: str) -> None:
        self.runs.append((self.running or "", how))
        self.running = None
        self.open.clear()

    def _begin(self, kind: str, id: str) -> None:
        assert (kind, id) not in self.open, f"{kind} {id} began twice"
        self.open.add((kind, id))

    def _end(self, kind: str, id: str) -> None:
        assert (kind, id) in self.open, f"{kind} {id} is not open"
        self.open.remove((kind, id))

    def _messages_snapshot(self, event: Event) -> None:
        self.messages = {}
        for message in event["messages"]:
            if "content" in message:
                self.messages[message["id"]] = dict(message)
            for call in message.get("toolCalls", ()):
                self.messages[call["id"]] = {"role": "assistant", "arguments": call["function"]["arguments"]}

    def _text_message_start(self, event: Event) -> None:
        self._begin("text", event["messageId"])
        self.messages.setdefault(event["messageId"], {"role": event["role"], "content": ""})

    def _text_message_content(self, event: Event) -> None:
        assert ("text", event["messageId"]) in self.open
        self.messages[event["messageId"]]["content"] += event["delta"]

    def _text_message_end(self, event: Event) -> None:
        self._end("text", event["messageId"])

    def _reasoning_start(self, event: Event) -> None:
        self._begin("span", event["messageId"])

    def _reasoning_message_start(self, event: Event) -> None:
        self._begin("reasoning", event["messageId"])
        self.messages.setdefault(event["messageId"], {"role": "reasoning", "content": ""})

    def _reasoning_message_content(self, event: Event) -> None:
        assert ("reasoning", event["messageId"]) in self.open
        self.messages[event["messageId"]]["content"] += event["delta"]

    def _reasoning_message_end(self, event: Event) -> None:
        self._end("reasoning", event["messageId"])

    def _reasoning_end(self, event: Event) -> None:
        self._end("span", event["messageId"])

    def _tool_call_start(self, event: Event) -> None:
        self._begin("call", event["toolCallId"])
        self.messages.setdefault(event["toolCallId"], {"role": "assistant", "arguments": ""})

    def _tool_call_args(self, event: Event) -> None:
        assert ("call", event["toolCallId"]) in self.open
        self.messages[event["toolCallId"]]["arguments"] += event["delta"]

    def _tool_call_end(self, event: Event) -> None:
        self._end("call", event["toolCallId"])

    def _tool_call_result(self, event: Event) -> None:
        assert event["messageId"] not in self.messages, "a result came twice"
        self.messages[event["messageId"]] = {"role": "tool", "content": event["content"]}

    def _activity_snapshot(self, event: Event) -> None:
        self.messages[event["messageId"]] = {"role": "activity", "content": dict(event["content"])}

    def _activity_delta(self, event: Event) -> None:
        [patch] = event["patch"]
        self.messages[event["messageId"]]["content"]["text"] = patch["value"]

    def _custom(self, event: Event) -> None:
        assert event["name"] in ("chatstore.block", "chatstore.run")

    def _subagent_started(self, event: Event) -> None:
        assert event["subagentRunId"] not in self.subagents
        assert event.get("parentSubagentRunId") in (None, *self.subagents)
        self.subagents[event["subagentRunId"]] = True

    def _subagent_finished(self, event: Event) -> None:
        assert self.subagents[event["subagentRunId"]]
        self.subagents[event["subagentRunId"]] = False

    _subagent_error = _subagent_finished

    def texts(self) -> dict[str, str]:
        """The text of each message, by its id."""
        return {id: _text(message) for id, message in self.messages.items()}


def _text(message: Event) -> str:
    if message["role"] == "activity":
        return str(message["content"].get("text", ""))
    return str(message["arguments"] if "arguments" in message else message["content"])


def stored_texts(blocks: list[Block]) -> dict[str, str]:
    """What such a client has to show in the end."""
    hidden = ("system", "developer")
    return {b.id: b.text for b in blocks if not b.internal and not (b.type == "message" and b.role in hidden)}


def openai_message(chunks: list[Event]) -> Event:
    """The message that chunks come to."""
    message: Event = {"content": "", "reasoning_content": "", "calls": {}}
    for chunk in chunks:
        for choice in chunk.get("choices", ()):
            delta = choice["delta"]
            message["content"] += delta.get("content", "")
            message["reasoning_content"] += delta.get("reasoning_content", "")
            for call in delta.get("tool_calls", ()):
                message["calls"].setdefault(call["index"], "")
                message["calls"][call["index"]] += call["function"]["arguments"]
    return message


def delta_texts(messages: list[Event]) -> dict[str, str]:
    """What the messages of a run's durable stream come to: rows of blocks, and pieces put where they stand."""
    texts: dict[str, str] = {}
    for message in messages:
        if message["type"] == "block":
            whole = message["value"]["state"] != "open" or message["key"] not in texts
            texts[message["key"]] = message["value"]["text"] if whole else texts[message["key"]]
        elif message["type"] == "delta":
            value = message["value"]
            texts[value["block"]] = texts[value["block"]][: value["at"]] + value["text"]
    return texts
