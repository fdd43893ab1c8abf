"""What graphs of LangGraph's tell the graphs around of, and those who use them: that they wait, and who goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chatstore.recorders.langchain.messages import commands_in, targets_of
from chatstore.recorders.langchain.runs import Run, Who
from chatstore.recorders.machine.script import Put, Step, as_json
from chatstore.recorders.shared.provider_events import known, plain

_QUESTIONS: Final = ("question", "query", "message", "prompt", "description")
"""What people call the text of a question that is a dict."""


class Graphs:
    """An `input_request` for each interrupt, and a `handoff` for each command that goes to a node."""

    def __init__(self) -> None:
        self._interrupts: set[Any] = set()

    def bubbled(self, error: Any, run: Run) -> Iterator[Step]:
        """An interrupt, or a command for the graph around."""
        for given in error.args:
            if isinstance(given, (list, tuple)):
                for one in given:
                    yield from self._interrupt(one, run.who)
            yield from self.handoffs(given, run)

    def paused(self, event: Any, who: Who) -> Iterator[Step]:
        """A graph waits: for answers, or before or behind a node that it was told to stop at."""
        interrupts = getattr(event, "interrupts", None) or ()
        for one in interrupts:
            yield from self._interrupt(one, who)
        if not interrupts and not self._interrupts:
            names = ("status", "checkpoint_id")
            data = known(**{name: getattr(event, name, None) for name in names})
            yield Put("input_request", data=data, **who.says(None))

    def handoffs(self, given: Any, run: Run) -> Iterator[Step]:
        """Whom commands hand over to. What a tool hands over, its node and the graphs around do too."""
        for command in commands_in(given):
            for target in targets_of(command):
                if target not in run.handed:
                    run.handed.add(target)
                    yield Put("handoff", text=target, data={"target": target}, parent=run.below, **run.who.says(None))

    def _interrupt(self, interrupt: Any, who: Who) -> Iterator[Step]:
        """A question to the person, once: the graphs around tell of it too."""
        named, value = getattr(interrupt, "id", None) or id(interrupt), getattr(interrupt, "value", None)
        if named in self._interrupts or not hasattr(interrupt, "value"):
            return
        self._interrupts.add(named)
        texts = [value[name] for name in _QUESTIONS if name in value] if isinstance(value, dict) else [value]
        text = next((one for one in texts if isinstance(one, str)), "")
        data = {"interrupt_id": as_json(named), "value": plain(value)}
        yield Put("input_request", text=text, data=data, **who.says(None))
