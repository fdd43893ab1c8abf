"""Vercel AI SDK, versions 6 and 7: a run as the chunks of one UI message, a history as UI messages.

Source of the format: the UI message stream protocol of ai-sdk.dev, and the npm package `ai`, against which this is
tested. Its resume is a replay from the start, so that an encoder is fed with the changes of one run from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator

from chatstore.changes import Change, HistoryErased, RunEnded, RunStarted
from chatstore.encoders.growth import Begun, Ended, Grown, Growth, Step
from chatstore.encoders.shown import (
    Calls,
    Event,
    PartUrl,
    content,
    failure,
    function_name,
    is_error,
    is_for_people,
    part_url,
    shape_of,
)
from chatstore.model import Block, Part, Run

DONE = "[DONE]"
"""The data of the last server-sent event, behind the chunks."""

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-vercel-ai-ui-message-stream": "v1",
    "x-accel-buffering": "no",
}
"""The headers of the stream."""

_MEDIA = {"image": "image/*", "audio": "audio/*", "file": "application/octet-stream", "text": "text/plain"}


class AiSdkEncoder:
    """The chunks of one run, which are one message of the assistant: its id is that of the run.

    What the user says is not among them. A step ends where something is said behind a result. `internal` shows also
    what is not for people; `part_url` says where parts with bytes are. Without a run (None, and a `message_id`) it is
    for blocks outside of any.
    """

    def __init__(
        self,
        run_id: str | None,
        *,
        message_id: str | None = None,
        internal: bool = False,
        part_url: PartUrl = part_url,
    ) -> None:
        self._run = run_id
        self._message = message_id or run_id
        self._internal = internal
        self._part_url = part_url
        self._growth = Growth()
        self._calls = Calls()
        self._texts: dict[int, str] = {}
        self._begun = False
        self._answered = False
        self.over: bool = False

    def encode(self, change: Change) -> list[Event]:
        """The chunks of one change; none once the run is over."""
        return [] if self.over else [*self._chunks(change)]

    def end(self) -> list[Event]:
        """The chunks that end a stream which is broken off here; a client takes one without them for a whole one."""
        if self.over:
            return []
        return [*self._start(), *self._close(), {"type": "error", "errorText": "the run goes on; read it again"}]

    def _chunks(self, change: Change) -> Iterator[Event]:
        match change:
            case RunStarted(run=run) if run.id == self._run:
                yield from self._start()
            case RunEnded(run=run) if run.id == self._run:
                yield from self._start()
                yield from self._finish(run)
            case HistoryErased():
                yield from self._start()
                yield from self._close()
                yield {"type": "error", "errorText": "the history was erased"}
                self.over = True
            case _:
                for step in self._growth.steps(change):
                    if self._shows(step.block):
                        yield from self._start()
                        yield from self._step(step)

    def _shows(self, block: Block) -> bool:
        return block.run_id == self._run and not is_said_to_it(block) and (self._internal or is_for_people(block))

    def _start(self) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            note = {} if self._run is None else {"messageMetadata": {"chatstore": {"run_id": self._run}}}
            yield {"type": "start", "messageId": self._message, **note}
            yield {"type": "start-step"}

    def _step(self, step: Step) -> Iterator[Event]:
        match step:
            case Begun(block=block):
                self._calls.add(block)
                yield from self._begin(block)
            case Grown(block=block, text=piece):
                yield from self._grow(block, piece)
            case Ended(block=block):
                yield from self._end(block)
            case _:
                pass  # tags and usage of a block are not part of a message

    def _begin(self, block: Block) -> Iterator[Event]:
        shape = shape_of(block)
        if self._answered and shape in ("text", "reasoning", "call") and self._is_alone(block):
            self._answered = False
            yield {"type": "finish-step"}
            yield {"type": "start-step"}
        match shape:
            case "text" | "reasoning":
                yield {"type": f"{shape}-start", "id": block.id, **_author(block)}
            case "call":
                call = {"toolCallId": block.id, "toolName": function_name(block), "dynamic": True}
                yield {"type": "tool-input-start", **call}
            case "other":
                if block.state == "open":
                    self._texts[block.index] = block.text
                yield _data(block, block.text)

    def _grow(self, block: Block, piece: str) -> Iterator[Event]:
        match shape_of(block):
            case "text" | "reasoning" as shape:
                yield {"type": f"{shape}-delta", "id": block.id, "delta": piece}
            case "call":
                yield {"type": "tool-input-delta", "toolCallId": block.id, "inputTextDelta": piece}
            case "other" if block.index in self._texts:
                self._texts[block.index] += piece
                yield _data(block, self._texts[block.index])

    def _end(self, block: Block) -> Iterator[Event]:
        match shape_of(block):
            case "text" | "reasoning" as shape:
                yield {"type": f"{shape}-end", "id": block.id}
                yield from (one for part in block.parts for one in file_parts(block, part, self._part_url))
            case "call":
                yield _called(block)
            case "result":
                yield self._answer(block)
            case "other":
                if self._texts.pop(block.index, None) is not None:
                    yield _data(block, block.text)

    def _answer(self, block: Block) -> Event:
        call = self._calls.answered_by(block)
        if call is None:
            return _data(block, block.text)
        self._answered = True
        if is_error(block):
            return {"type": "tool-output-error", "toolCallId": call, "errorText": block.text, "dynamic": True}
        return {"type": "tool-output-available", "toolCallId": call, "output": block.text, "dynamic": True}

    def _is_alone(self, block: Block) -> bool:
        """Whether nothing else is open: the end of a step is the end of its texts for a client."""
        return not any(self._shows(one.block) for index, one in self._growth.growing.items() if index != block.index)

    def _close(self) -> Iterator[Event]:
        for one in self._growth.growing.values():
            if self._shows(one.block) and shape_of(one.block) in ("text", "reasoning"):
                yield {"type": f"{shape_of(one.block)}-end", "id": one.block.id}
        yield {"type": "finish-step"}

    def _finish(self, run: Run) -> Iterator[Event]:
        self.over = True
        yield from self._close()
        if run.state == "cancelled":
            yield {"type": "abort", "reason": "cancelled"}
            return
        failed = run.state != "completed"
        if failed:
            yield {"type": "error", "errorText": failure(run)}
        note = {"state": run.state, **({"usage": run.usage} if run.usage else {})}
        reason = "error" if failed else "stop"
        yield {"type": "finish", "finishReason": reason, "messageMetadata": {"chatstore": note}}


def is_said_to_it(block: Block) -> bool:
    """Whether a block is a message of somebody else's than the assistant's."""
    return shape_of(block) == "text" and block.role != "assistant"


def _called(block: Block) -> Event:
    arguments = block.data.get("arguments") if isinstance(block.data, dict) else None
    call = {"toolCallId": block.id, "toolName": function_name(block), "dynamic": True}
    if block.state not in ("open", "closed"):
        return {"type": "tool-input-error", **call, "input": block.text, "errorText": f"the call was {block.state}"}
    if arguments is None and block.text.strip() not in ("", "null"):
        return {"type": "tool-input-error", **call, "input": block.text, "errorText": "the arguments are no JSON"}
    return {"type": "tool-input-available", **call, "input": {} if arguments is None else arguments}


def _data(block: Block, text: str) -> Event:
    kind = "data-status" if block.type == "status" else "data-block"
    return {"type": kind, "id": block.id, "data": content(block, text)}


def file_parts(block: Block, part: Part, part_url: PartUrl) -> Iterator[Event]:
    """A part of a block that is a file, as a chunk and as a part of a UI message."""
    url = None if part.text is not None else part_url(block, part)
    if url is not None:
        yield {"type": "file", "url": url, "mediaType": part.mime_type or _MEDIA[part.type]}


def _author(block: Block) -> Event:
    return {} if block.author is None else {"providerMetadata": {"chatstore": {"author": block.author}}}
