"""Answers of Ragna: an assistant's text as it comes, with the sources that it was made from.

Source: `Message` and the API of ragna 0.2.1.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from typing import Any, Final, Unpack, overload

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput
from chatstore.history import History
from chatstore.model import JsonValue
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Script, Step
from chatstore.recorders.machine.start import start

_ANSWER: Final = "answer"
_KEPT: Final = {"message_id": "id", "timestamp": "timestamp"}


def record(message: Any, history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[str]:
    """Records the message that `await chat.answer(prompt, stream=True)` gives; its pieces come out as they are.

    The sources are in the block's `data["sources"]` before its text: each a dict of `document` with its id and name,
    `location`, `content` and `num_tokens`. Read the recording, not the message beside it: its text is there to be read
    once.
    """
    if not isinstance(message, AsyncIterable):
        raise InvalidInput(f"record takes a message of Ragna, not {type(message).__name__}")
    return start(AnswerScript(_sources(getattr(message, "sources", None))), message, history, options)


@overload
def record_lines(lines: Iterable[str], history: History, **options: Unpack[RecordOptions]) -> Recording[str]: ...
@overload
def record_lines(
    lines: AsyncIterable[str], history: AsyncHistory, **options: Unpack[RecordOptions]
) -> AsyncRecording[str]: ...
def record_lines(lines: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records the JSON Lines that Ragna's API answers with where `stream` is asked for.

    They have no end of their own: an answer that was broken off in the server looks like one that is whole.
    """
    return start(LinesScript(), lines, history, options)


class AnswerScript(Script[str]):
    """Pieces of one message. It is whole when no more come; what goes wrong is raised."""

    extra = "ragna"
    has_end = False

    def __init__(self, sources: JsonValue = None) -> None:
        super().__init__()
        self._sources = sources
        self._begun = False

    def read(self, event: str) -> Iterator[Step]:
        """A piece."""
        yield from self._begin({})
        yield Grow(_ANSWER, event)

    def finish(self) -> Iterator[Step]:
        """An answer without a piece is one, too."""
        yield from self._begin({})
        yield Finish(_ANSWER)

    def _begin(self, data: Mapping[str, JsonValue]) -> Iterator[Step]:
        if not self._begun:
            self._begun = True
            yield Begin(
                _ANSWER, role="assistant", data={**data, "sources": self._sources} if self._sources else data or None
            )


class LinesScript(AnswerScript):
    """The same as messages in JSON, each with one piece; the first has the sources. Those of a server of ours may end
    with one that says how the run ended."""

    def read(self, event: str) -> Iterator[Step]:
        """A line."""
        if not event.strip():
            return
        message = json.loads(event)
        if not self._begun:
            self._sources = message.get("sources")
        yield from self._begin({name: message.get(of) for name, of in _KEPT.items()})
        yield Grow(_ANSWER, message.get("content") or "")
        state = message.get("state")
        self.complete: bool = state == "completed"
        if state is not None and not self.complete:
            self.error: str | None = message.get("error") or state


def _sources(sources: Iterable[Any] | None) -> JsonValue:
    return [_source(source) for source in sources or ()]


def _source(source: Any) -> JsonValue:
    document = getattr(source, "document", None)
    return {
        "id": str(getattr(source, "id", "")),
        "document": {"id": str(getattr(document, "id", "")), "name": getattr(document, "name", None)},
        "location": getattr(source, "location", None),
        "content": getattr(source, "content", None),
        "num_tokens": getattr(source, "num_tokens", None),
    }
