"""Two stores that are told the same and have to answer the same, step by step.

Ids and times are each store's own, and so is its name in cursors: an id of one stands for the same id of the other
wherever it comes again, all else of an answer is equal, with its types and the order of its keys.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from machine.crashing import WholeMachine
from machine.lives import Lives, Refused
from machine.model import History, Plain, normal
from machine.places import Places
from machine.steps import Open

_IDS = ("id", "parent_id", "run_id", "parent_run_id", "identity")
_CURSOR = re.compile(r"[0-9a-f]{12}(-[0-9a-f]{12}-[0-9]{12}(?:\.[0-9]{5}\.[0-9]{12})?)")

_WORD = re.compile(r"[\w.-]+", re.ASCII)


class Pair(NamedTuple):
    """What differs from one store to the other, and how it is called there."""

    first: str
    second: str


class TwoPlaces:
    """Places for two stores at once. They are warmed and closed one by one."""

    def __init__(self, first: Places, second: Places) -> None:
        self._both = first, second

    def take(self) -> Pair:
        first, second = (places.take() for places in self._both)
        return Pair(first, second)

    def cut(self, location: Pair) -> None:
        for places, one in zip(self._both, location, strict=True):
            places.cut(one)

    def give_back(self, location: Pair) -> None:
        for places, one in zip(self._both, location, strict=True):
            places.give_back(one)


class Twins:
    """Two workers, told what to do as if they were one; the answers are those of the first."""

    def __init__(self, first: Lives, second: Lives) -> None:
        self._first, self._second = first, second
        self.compared = 0
        self._second_of: dict[str, str] = {}
        self._first_of: dict[str, str] = {}
        self._read: dict[int, tuple[_Text, _Text]] = defaultdict(lambda: (_Text(), _Text()))

    def tell(self, name: str, *values: Any, **named: Any) -> Any:
        """Has both do something, and compares what they say."""
        if name == "next_change":
            return self._next_change(*values)
        first, second = self._ask(name, values, named)
        if name == "open":
            self._read.clear()
        if name == "replay":
            self._compare(normal(first), normal(second), name)
        else:
            self._compare(first, second, name)
        self.compared += 1
        if isinstance(first, Refused):
            raise first
        return first

    def tell_each(self, name: str, *values: Any, **named: Any) -> list[Any]:
        """The answers of both, which need not be the same."""
        return [*self._ask(name, values, named)]

    def send(self, name: str, *values: Any, **named: Any) -> None:
        ours = (value.first if isinstance(value, Pair) else value for value in values)
        self._first.send(name, *ours, **named)
        self._second.send(name, *self._theirs(values), **self._theirs(named))

    def kill(self, after: float = 0.0) -> None:
        time.sleep(after)
        self._first.kill()
        self._second.kill()

    def _ask(self, name: str, values: Any, named: Any) -> tuple[Any, Any]:
        self.send(name, *values, **named)
        try:
            first = _answer(self._first, name)
        finally:
            second = _answer(self._second, name)
        return first, second

    def _next_change(self, number: int) -> Plain | None:
        """Text comes in other portions, and of several blocks in another order; all else in this one."""
        first: Plain | None = self._first.tell("next_change", number)
        had, theirs = self._read[number]
        is_text = first is not None and first["what"] == "TextAppended"
        if is_text:
            had.take(first)
        while theirs.is_short_of(had):
            theirs.take(self._second.tell("next_change", number))
        if not is_text:
            second = self._second.tell("next_change", number)
            self._compare(first, second, "next_change")
            assert had == theirs, "text came before a change of one store, and behind it of the other"
        self.compared += 1
        return first

    def _theirs(self, value: Any) -> Any:
        """A value for the second store."""
        if isinstance(value, Pair):
            return value.second
        if isinstance(value, dict):
            return {name: self._theirs(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._theirs, value))
        if isinstance(value, str):
            cursor = _CURSOR.fullmatch(value)
            return self._second_of[value[:12]] + cursor[1] if cursor else self._second_of.get(value, value)
        return value

    def _compare(self, first: Any, second: Any, place: str) -> None:
        assert type(first) is type(second), f"{place}: {first!r} and {second!r}"
        if isinstance(first, Refused):
            said = _WORD.sub(lambda word: str(self._theirs(word[0])), first.said)
            self._compare([first.name, said, first.head], [second.name, second.said, second.head], place)
        elif isinstance(first, dict):
            assert [*first] == [*second], f"{place}: {first} and {second}"
            for name, value in first.items():
                if name in _IDS and isinstance(value, str):
                    self._stands_for(value, second[name], f"{place} {name}")
                else:
                    self._compare(value, second[name], f"{place} {name}")
        elif isinstance(first, (list, tuple)):
            assert len(first) == len(second), f"{place}: {first} and {second}"
            for number, (one, other) in enumerate(zip(first, second, strict=True)):
                self._compare(one, other, f"{place} {number}")
        elif not isinstance(first, datetime):
            same = self._theirs(first) if isinstance(first, str) else first
            assert same == second, f"{place}: {first!r} and {second!r}"

    def _stands_for(self, first: str, second: str, place: str) -> None:
        known = self._second_of.setdefault(first, second), self._first_of.setdefault(second, first)
        assert known == (second, first), f"{place}: {first} and {second}, and before it was {known}"


class _Text(dict[int, str]):
    """The text of each block that a subscription gave."""

    def take(self, change: Plain | None) -> None:
        assert change is not None, "it ended before the text was whole"
        self[change["index"]] = self.get(change["index"], "") + change["text"]

    def is_short_of(self, other: _Text) -> bool:
        return any(len(self.get(index, "")) < len(text) for index, text in other.items())


def _answer(lives: Lives, name: str) -> Any:
    try:
        return lives.answer(name)
    except Refused as refused:
        return refused


class TwinMachine(WholeMachine):
    """Of two stores: every piece of text is stored before the next one, so that both number their logs alike."""

    def write_tokens(self, writer: Open, tokens: list[str], stored: bool) -> None:
        for token in tokens:
            super().write_tokens(writer, [token], stored=True)

    def may_die_in_an_append(self, history: History) -> bool:
        return all(one.history is not history for one in (*self.writers, *self.works))
