"""What an agent of the Agents SDK said in a run: answers of models, and which of their items a session was given.

A session is given the items of a turn when it is over, which may be before the events that say them are read, and it
is given them as the package wants them back. So an item is looked for by what it has: an id, the id of a call, a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chatstore.recorders.machine.script import Begin, Key, Put, Step
from chatstore.recorders.openai_agents.items import call_id_of, id_of, text_of, type_of
from chatstore.recorders.openai_responses import ResponsesScript
from chatstore.recorders.shared.provider_events import member
from chatstore.recorders.shared.response_items import ANSWERED_BY_OTHERS


@dataclass(slots=True)
class Output:
    """One item of an answer. `key`: its last block; `text`: all that it says, once that is known."""

    type: str
    id: str | None
    call_id: str | None
    key: Key | None = None
    text: str | None = None
    claimed: bool = False

    @classmethod
    def of(cls, item: Any, *, whole: bool) -> Output:
        """What is known of an item."""
        return cls(type_of(item), id_of(item), call_id_of(item), text=text_of(item) if whole else None)

    def is_same(self, other: Output) -> bool:
        """Whether both may be one item. Of two that differ in nothing that is known, the first is meant."""
        if self.type != other.type:
            return False
        for one, another in ((self.call_id, other.call_id), (self.id, other.id)):
            if one is not None and another is not None:
                return one == another
        return self.text is None or other.text is None or self.text == other.text


class Answer(ResponsesScript):
    """One answer of a model. Items that were known before they came, `ahead`, are passed by as they come."""

    def __init__(self, number: int, ahead: list[Output]) -> None:
        super().__init__()
        self.number = number
        self.outputs: dict[int, Output] = {}
        self.open: dict[Key, None] = {}
        self.calls: int = 0
        self.began: bool = False
        self._ahead = ahead

    def read(self, event: Any) -> Iterator[Step]:
        """As of a response, without what is stored."""
        self.began = True
        index = member(event, "output_index")
        if member(event, "type") == "response.output_item.added":
            self._note(index, member(event, "item"), whole=False)
        if index is not None and index in self._done:
            return iter(())
        return self._seen(super().read(event))

    def settle(self, item: Any, index: int) -> Iterator[Step]:
        """The item is known by other means: what of it has not come is taken from there."""
        return self._seen(self._whole(index, item))

    def _note(self, index: int, item: Any, *, whole: bool) -> None:
        if index in self.outputs:
            if whole and self.outputs[index].text is None:
                self.outputs[index].text = text_of(item)
            return
        found = self.outputs[index] = Output.of(item, whole=whole)
        if found.type in ANSWERED_BY_OTHERS:
            self.calls += 1
        for one in self._ahead:
            if one.is_same(found):
                self._ahead.remove(one)
                self.outputs[index] = one
                self._done.add(index)
                return

    def _whole(self, index: int, item: Any) -> Iterator[Step]:
        self._note(index, item, whole=True)
        yield from super()._whole(index, item)

    def _seen(self, steps: Any) -> Iterator[Step]:
        for step in steps:
            if isinstance(step, (Begin, Put)) and isinstance(step.key, tuple):
                output = self.outputs.get(step.key[0])
                if output is not None:
                    output.key = (self.number, step.key)
            yield step


@dataclass(slots=True)
class Call:
    """A call, and what came of it. `told`: its result came by an event; `claimed`: a session was given it."""

    key: Key | None
    name: Any
    result: Key | None = None
    told: bool = False
    claimed: bool = False


@dataclass(slots=True)
class Calls:
    """The calls of a run. Models use the id of a call again, so there may be several of one."""

    of: dict[str, list[Call]] = field(default_factory=dict)

    def made(self, call_id: Any, call: Call) -> None:
        """A call was made."""
        self.of.setdefault(call_id, []).append(call)

    def told(self, call_id: Any) -> Call | None:
        """The call whose result an event tells: the first of which none has told it."""
        return self._next(call_id, "told")

    def claimed(self, call_id: Any) -> Call | None:
        """The call whose result a session was given."""
        return self._next(call_id, "claimed")

    def given(self, call_id: Any, result: Key) -> None:
        """A session has stored the result of a call."""
        call = self.claimed(call_id)
        if call is None:
            self.made(call_id, call := Call(None, None, claimed=True))
        call.result = result

    def _next(self, call_id: Any, mark: str) -> Call | None:
        for call in self.of.get(call_id, ()):
            if not getattr(call, mark):
                setattr(call, mark, True)
                return call
        return None
