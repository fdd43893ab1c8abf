"""The tools that run in an invocation of LangChain's: calls, and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatstore.recorders.langchain.messages import commands_in, content_of, messages_in, type_of
from chatstore.recorders.langchain.runs import Call, Run, Who, as_text, say
from chatstore.recorders.machine.script import Key, Put, Step

_REMEMBERED: Final = 1_000


class Results:
    """What a handler stored of late: a model that is asked by itself is given results of tools as messages again."""

    def __init__(self) -> None:
        self._stored: deque[tuple[Any, str]] = deque(maxlen=_REMEMBERED)

    def add(self, id: Any, text: str) -> None:
        """A result was stored."""
        self._stored.append((id, text))

    def take(self, id: Any, text: str) -> bool:
        """Whether it was, which is forgotten then: models use ids again."""
        try:
            self._stored.remove((id, text))
        except ValueError:
            return False
        return True


class Tools:
    """One `function_result` for each call, below it where the call is of this invocation."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._calls: dict[Any, Call] = {}
        self._answered: set[Any] = set()
        self._failed: dict[Any, tuple[Run, Put]] = {}

    def called(self, calls: Mapping[Any, tuple[Key, Any]]) -> None:
        """A model made these calls: keys and names by their ids, which models use again."""
        for id, (key, name) in calls.items():
            self._calls[id] = Call(id, name, key)
            self._answered.discard(id)

    def start(self, run: Run, run_id: Any, given: Any, more: Mapping[str, Any]) -> Iterator[Step]:
        """A tool begins. One that no model called, as far as LangChain says, gets a call of its own."""
        id = more.get("tool_call_id")
        known = None if id is None else self._calls.get(id)
        name = (more.get("serialized") or {}).get("name") or more.get("name")
        key: Key = ("tool", run_id)
        if id is None:
            inputs = more.get("inputs")
            text = as_text(given if inputs is None else inputs)
            data = {"name": name, "call_id": str(run_id)}
            yield Put("function_call", text=text, key=key, data=data, parent=run.below, **run.who.says())
            known = Call(str(run_id), name, key)
        run.call = known or Call(id, name)
        run.below = key if run.call.key is None else run.call.key

    def end(self, run: Run, output: Any) -> Iterator[Step]:
        """A tool gave something: a message, a command with one, or anything."""
        if run.call is None:
            return
        given = [] if isinstance(output, str) else [one for one in messages_in(output) if type_of(one) == "tool"]
        for message in given:
            yield from self.result_of(message, run.who, run.call)
        if not given and not commands_in(output):
            yield from self._answer(run.call, as_text(output), [], False, run.who)

    def fail(self, run: Run, error: Any) -> Iterator[Step]:
        """A tool failed. What the model is told is known when the node that it is in has ended; without a node, it is
        the error."""
        if run.call is None:
            return
        failed = _put(run.call, say(error), [], True, run.who)
        if (node := run.in_node) is not None:
            self._failed[run.call.id] = (node, failed)
        else:
            self._answered.add(run.call.id)
            yield failed

    def result_of(self, message: Any, who: Who, call: Call | None = None) -> Iterator[Step]:
        """A message that has the result of a call."""
        id, name = getattr(message, "tool_call_id", None), getattr(message, "name", None)
        found = call if call is not None and call.id == id else self._calls.get(id, Call(id, None))
        text, parts = content_of(message)
        failed = getattr(message, "status", None) == "error"
        yield from self._answer(Call(id, name or found.name, found.key), text, parts, failed, who)

    def given(self, message: Any) -> Iterator[Step]:
        """A result that came with a question, of a tool that somebody else ran or that a handler has told of."""
        text, _ = content_of(message)
        if not self._results.take(getattr(message, "tool_call_id", None), text):
            yield from self.result_of(message, Who())

    def left(self, node: Run | None = None) -> Iterator[Step]:
        """The errors of tools that a node ended without a word about; without a node, of all."""
        for id, (its_node, failed) in [*self._failed.items()]:
            if node is None or its_node is node:
                del self._failed[id]
                self._answered.add(id)
                yield failed

    def _answer(self, call: Call, text: str, parts: Any, failed: bool, who: Who) -> Iterator[Step]:
        if call.id not in self._answered:
            self._answered.add(call.id)
            self._failed.pop(call.id, None)
            self._results.add(call.id, text)
            yield _put(call, text, parts, failed, who)


def _put(call: Call, text: str, parts: Any, failed: bool, who: Who) -> Put:
    data = {"call_id": call.id, "name": call.name, "is_error": failed}
    return Put("function_result", text=text, parts=parts, data=data, parent=call.key, **who.says("tool"))
