"""A run as the lines that Ragna's API streams an answer by, for whoever has a client for those.

Each line is a message of its own, with the id and the time of the answer, and a piece of it as its content; the first
has the sources. A stream of Ragna is one message: where a run has several of the assistant, they follow each other with
an empty line between them. Source of the format: `POST /chats/{id}/answer` of ragna 0.2.1, and its `schemas.Message`.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from chatstore.changes import Change, HistoryErased, RunEnded, RunStarted
from chatstore.encoders.growth import Begun, Ended, Grown, Growth, Step
from chatstore.encoders.in_turn import InTurn
from chatstore.encoders.shown import Event, failure, is_for_people
from chatstore.model import Block, JsonValue, Run

_TIME = "%Y-%m-%dT%H:%M:%S.%f"
"""Ragna's clients parse it by this; it is in UTC, and does not say so."""


class RagnaLinesEncoder:
    """The messages of one run, fed with its changes from the beginning.

    `over`: the run has ended. `complete`: it did so as it should, and all of the answer was told.
    """

    def __init__(self, run_id: str) -> None:
        self._run = run_id
        self._growth = Growth()
        self._turns = InTurn()
        self._head: Event = {"id": run_id, "content": "", "role": "assistant", "sources": None, "timestamp": None}
        self._sources: JsonValue = None
        self._error: str | None = None
        self._state = "running"
        self._begun = self._told = False

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self._state != "running"

    @property
    def complete(self) -> bool:
        """Whether what was told is all of the answer."""
        return self._state == "completed"

    def encode(self, change: Change) -> list[Event]:
        """The messages of one change; none once the run is over."""
        return [] if self.over else [*self._messages(change)]

    def end(self) -> Event:
        """The message that says how the run has ended, by a field that Ragna's have not: an empty piece to others."""
        said = {"state": self._state} if self._error is None else {"state": self._state, "error": self._error}
        return {**self._message(""), **said}

    def _messages(self, change: Change) -> Iterator[Event]:
        match change:
            case RunStarted(run=run) if run.id == self._run:
                self._head["timestamp"] = run.started_at.strftime(_TIME)
            case RunEnded(run=run) if run.id == self._run:
                self._ended(run)
            case HistoryErased():
                self._state, self._error = "erased", "the history was erased"
            case _:
                for step in self._growth.steps(change):
                    if self._is_said(step.block):
                        yield from self._step(step)

    def _ended(self, run: Run) -> None:
        self._state = run.state
        if run.state != "completed":
            self._error = failure(run)

    def _is_said(self, block: Block) -> bool:
        said = block.type == "message" and block.role == "assistant"
        return said and block.run_id == self._run and is_for_people(block)

    def _step(self, step: Step) -> Iterator[Event]:
        index = step.block.index
        match step:
            case Begun(block=block):
                self._turns.begin(index)
                self._begin(block)
            case Grown(text=piece):
                yield from map(self._message, self._turns.grow(index, piece))
            case Ended():
                yield from map(self._message, self._turns.end(index))
                if not self._told:
                    yield self._message("")  # an answer without a word is one, too

    def _begin(self, block: Block) -> None:
        if self._begun:
            return
        self._begun = True
        data = block.data if isinstance(block.data, dict) else {}
        sources, time = data.get("sources"), data.get("timestamp")
        self._sources = sources if isinstance(sources, list) else []
        self._head["id"] = _uuid(data.get("message_id")) or block.id
        self._head["timestamp"] = time if isinstance(time, str) else block.created_at.strftime(_TIME)

    def _message(self, content: str) -> Event:
        sources, self._sources, self._told = self._sources, None, True
        return {**self._head, "content": content, "sources": sources}


def _uuid(value: JsonValue) -> str | None:
    """An id that Ragna gave; its clients take nothing else."""
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None
