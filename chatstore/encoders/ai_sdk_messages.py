"""A history as UIMessage[] of the Vercel AI SDK: what its chunks come to, put together as its client does."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore.changes import BlockAdded
from chatstore.encoders.ai_sdk import AiSdkEncoder, file_parts, is_said_to_it
from chatstore.encoders.shown import Event, PartUrl, is_for_people, part_url
from chatstore.model import Block


def ui_messages(
    blocks: Iterable[Block], *, without_run: str | None = None, internal: bool = False, part_url: PartUrl = part_url
) -> list[Event]:
    """A history as the messages that a chat begins with.

    The blocks of a run are one message of the assistant, with the run's id, as its stream gives it; so are those
    outside of any run up to what the user says next. Leave out, as `without_run`, the run whose stream the client goes
    on to read: version 6 would show what it says twice.
    """
    messages: list[Event] = []
    speaking: dict[str | None, _Message] = {}
    for block in blocks:
        if not (internal or is_for_people(block)):
            continue
        if is_said_to_it(block):
            messages.append(_said(block, part_url))
            speaking.pop(None, None)
        elif block.run_id is None or block.run_id != without_run:
            if block.run_id not in speaking:
                speaking[block.run_id] = _Message(block, internal, part_url)
                messages.append(speaking[block.run_id].message)
            speaking[block.run_id].add(block)
    return messages


class _Message:
    """One message of the assistant."""

    def __init__(self, first: Block, internal: bool, part_url: PartUrl) -> None:
        id = first.run_id or first.id
        self._encoder = AiSdkEncoder(first.run_id, message_id=id, internal=internal, part_url=part_url)
        self._active: dict[str, Event] = {}
        self.message: Event = {"id": id, "role": "assistant", "parts": []}

    def add(self, block: Block) -> None:
        change = BlockAdded.model_construct(context_id=block.context_id, cursor=block.cursor, block=block)
        for chunk in self._encoder.encode(change):
            self._take(chunk)

    def _take(self, chunk: Event) -> None:
        parts = self.message["parts"]
        kind = chunk["type"]
        if kind == "start":
            self.message |= {"metadata": chunk["messageMetadata"]} if "messageMetadata" in chunk else {}
        elif kind == "start-step":
            parts.append({"type": "step-start"})
        elif kind == "file" or kind.startswith("data-"):
            parts.append(chunk)
        elif kind.startswith("tool-"):
            self._take_call(chunk)
        elif kind.endswith("-start"):
            named = {key: value for key, value in chunk.items() if key == "providerMetadata"}
            self._active[chunk["id"]] = {"type": kind.removesuffix("-start"), "text": "", "state": "streaming", **named}
            parts.append(self._active[chunk["id"]])
        elif kind.endswith("-delta"):
            self._active[chunk["id"]]["text"] += chunk["delta"]
        elif kind.endswith("-end"):
            self._active.pop(chunk["id"])["state"] = "done"

    def _take_call(self, chunk: Event) -> None:
        id = chunk["toolCallId"]
        match chunk["type"]:
            case "tool-input-start":
                call = {"type": "dynamic-tool", "toolName": chunk["toolName"], "toolCallId": id}
                self._active[id] = {**call, "state": "input-streaming"}
                self.message["parts"].append(self._active[id])
            case "tool-input-available":
                self._active[id] |= {"state": "input-available", "input": chunk["input"]}
            case "tool-input-error":
                error = {"input": chunk["input"], "errorText": chunk["errorText"]}
                self._active[id] |= {"state": "output-error", **error}
            case "tool-output-available":
                self._active[id].pop("errorText", None)
                self._active[id] |= {"state": "output-available", "output": chunk["output"]}
            case "tool-output-error":
                self._active[id] |= {"state": "output-error", "errorText": chunk["errorText"]}


def _said(block: Block, part_url: PartUrl) -> Event:
    parts = [{"type": "text", "text": block.text}] if block.text or not block.parts else []
    parts += [{"type": "text", "text": part.text} for part in block.parts if part.text is not None]
    files = [one for part in block.parts for one in file_parts(block, part, part_url)]
    role = "user" if block.role == "user" else "system"
    return {"id": block.id, "role": role, "parts": [*parts, *files]}
