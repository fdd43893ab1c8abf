"""What both kinds of recording share: where the script is, and what became of the stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from chatstore.errors import ChatStoreError, RunCancelled, RunOver, UsageError
from chatstore.model import Block, BlockDraft, Context, JsonValue, Run
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Put, Script, Step
from chatstore.recorders.machine.sound import sound, sound_json, split

_log: Final = logging.getLogger("chatstore.recorders")


class StreamTruncated(ChatStoreError):
    """A stream ended without the event that ends it as it should."""

    code = "stream_truncated"


class StreamIdle(ChatStoreError):
    """A stream gave nothing for longer than its idle limit."""

    code = "stream_idle"


class StreamFailed(ChatStoreError):
    """A stream said by an event that it failed."""

    code = "stream_failed"


def stops(error: BaseException) -> bool:
    """Whether it came from who reads the events, or from who cancelled the run: the stream is to be closed then."""
    return isinstance(error, RunCancelled) or not isinstance(error, Exception)


class Course:
    """What both recordings share: where the script is, and what became of the stream."""

    def __init__(self, script: Script[Any], options: RecordOptions) -> None:
        self.script = script
        self.options = options
        self.strict: bool = options.get("strict", False)
        self.idle_limit: float | None = options.get("idle_limit")
        self.heard: float = time.monotonic()
        self.begun: bool = False
        self.over: bool = False
        self.blocks: dict[Key, str] = {}
        self.grown: dict[Key, list[str]] = {}
        self._halves: dict[Key, str] = {}
        self._data: dict[Key, JsonValue] = {}

    def refuse(self, context: Context | None) -> None:
        """Raises UsageError for a history that is not to be recorded into; nothing has been written then."""
        written_by = self.script.written_by
        if written_by is not None and context is not None and written_by[0] in (context.keys or {}):
            raise UsageError(
                f"a {written_by[1]} writes this history; record into another one, such as one of the person's"
            )

    def first(self) -> Iterable[Step]:
        """What is written before any event."""
        prompt = self.options.get("prompt")
        return self.script.unasked() if prompt is None else self.script.asked(prompt)

    def draft(self, step: Put, run_id: str) -> BlockDraft:
        """A whole block."""
        return BlockDraft(
            type=step.type,
            role=step.role,
            text=sound(step.text),
            data=sound_json(step.data),
            parts=step.parts,
            usage=step.usage,
            **self._common(step, run_id),
        )

    def opening(self, step: Begin, run_id: str) -> dict[str, Any]:
        """What a block that grows is opened with."""
        return {"type": step.type, "role": step.role, "data": sound_json(step.data), **self._common(step, run_id)}

    def _common(self, step: Begin | Put, run_id: str) -> dict[str, Any]:
        return {
            "author": step.author or (None if step.role == "user" else self.options.get("author")),
            "tags": step.tags,
            "internal": step.internal or (self.options.get("internal", False) and step.role != "user"),
            "parent": None if step.parent is None else self.blocks.get(step.parent),
            "run_id": run_id,
        }

    def began(self, step: Begin | Put, block: Block) -> None:
        """A block is stored, and can be a parent."""
        if step.key is not None:
            self.blocks[step.key] = block.id
        if isinstance(step, Begin):
            self.grown[step.key] = []
            self._data[step.key] = sound_json(step.data)

    def grew(self, step: Grow) -> str:
        """What of a piece is written now."""
        # A model's token may end in the middle of a character beyond U+FFFF: half a surrogate pair, which no store
        # takes.
        half = self._halves.pop(step.key, "")
        text, half = split(half + step.text if half else step.text)
        if half:
            self._halves[step.key] = half
        self.grown[step.key].append(text)
        return text

    def rest(self, step: Finish) -> tuple[str, JsonValue]:
        """What of a block's text has not come yet, and the data that it ends with, if that is other than before.

        Text that was given out stays: where the event at the end says another one, that is kept beside it.
        """
        text, data = "".join(self.grown.pop(step.key)), self._data.pop(step.key)
        half, ended = sound(self._halves.pop(step.key, "")), sound_json(step.data)
        if step.text is None:
            return half, ended
        whole = sound(step.text)
        if whole.startswith(text):
            return whole[len(text) :], ended
        return half, {**(ended or data or {}), "final_text": whole}

    def outcome(self, error: BaseException | None) -> BaseException | None:
        """What the run ends with: None where the stream came to its proper end.

        Who stops reading after that end, or after an event that says that it failed, stops nothing.
        """
        complete, failure = self.script.complete, self.script.error
        # A reader that leaves its loop at the last event closes the generator, which looks like one that stops.
        if isinstance(error, GeneratorExit) and (complete or failure is not None):
            error = None
        if error is not None:
            return self.script.told(error) if isinstance(error, Exception) else error
        if failure is not None:
            return StreamFailed(failure)
        if self.script.stopped:
            return GeneratorExit()
        if complete or not self.script.has_end:
            return None
        return StreamTruncated("the stream ended without the event that ends it; what came of it was kept")

    def check(self, run: Run) -> None:
        """Raises what a write into the run would, if it has ended."""
        if run.state == "cancelled":
            raise RunCancelled(f"run {run.id} was cancelled; stop working on it")
        if run.state != "running":
            raise RunOver(f"run {run.id} is {run.state}")

    def hear(self) -> None:
        """An event has come."""
        self.begun = True
        self.heard = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds until the stream has been idle for too long."""
        return float("inf") if self.idle_limit is None else self.heard + self.idle_limit - time.monotonic()

    def idle(self) -> StreamIdle:
        """What the run ends with then."""
        return StreamIdle(f"nothing came for {self.idle_limit} seconds")

    def failed(self, error: Exception) -> None:
        """Recording ends here, and the events go on."""
        self.over = True
        _log.warning("recording has stopped, the events go on: %s: %s", type(error).__name__, error)


def not_begun(error: Exception) -> None:
    """Nothing of a run can be recorded, and it goes on."""
    _log.warning("recording has not begun, the run goes on: %s: %s", type(error).__name__, error)
