"""Which invocation a callback of LangChain's belongs to. Shared by the handlers for threads and for event loops."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from langchain_core.runnables import config as runnables

from chatstore.errors import RunCancelled
from chatstore.recorders.langchain.runs import bubbles
from chatstore.recorders.langchain.script import LangChainScript
from chatstore.recorders.langchain.told import Told
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.recorders.machine.script_writer import ScriptWriter
from chatstore.runs import Inside

_log: Final = logging.getLogger("chatstore.recorders")
_REMEMBERED: Final = 1_000
"""So many invocations that have ended are known by their ids: what they began may still tell of itself."""


def ignored(error: Exception) -> None:
    """What went wrong with a callback, where the agent is not to know."""
    _log.warning("a callback was not recorded: %s: %s", type(error).__name__, error)


def parent_in_context() -> Any:
    """The id of what LangChain runs here; None where it runs nothing."""
    config = getattr(runnables, "var_child_runnable_config", None)
    told = None if config is None else config.get()
    return getattr(told.get("callbacks"), "parent_run_id", None) if isinstance(told, dict) else None


@dataclass
class Invocation:
    """What both kinds of invocations know. `root`: the id of the run that everything else runs in."""

    root: Any
    script: LangChainScript
    begun: bool = False
    stopped: RunCancelled | None = None
    _inside: dict[Any, Inside] = field(default_factory=dict)

    def raises(self, event: Told) -> RunCancelled | None:
        """What is raised to the agent where somebody stopped the run. An error of the agent's own is left as it is."""
        return None if event.fails else self.stopped

    def is_end(self, event: Told) -> bool:
        """Whether all of it has ended."""
        return event.ends and event.run_id == self.root

    def ending(self, event: Told) -> BaseException | None:
        """What it ended with. What graphs tell the graphs around of is no error; one that is drained was stopped."""
        if self.stopped is not None:
            return self.stopped
        if not event.fails:
            return GeneratorExit() if self.script.cut else None
        if bubbles(event.value):
            self.script.complete = type(event.value).__name__ != "GraphDrained"
            return None if self.script.complete else GeneratorExit()
        return event.value if isinstance(event.value, BaseException) else RuntimeError(str(event.value))

    def make_current(self, event: Told, inside: Inside) -> None:
        """While a node or a tool runs, the run is the current one there."""
        if self.script.is_step(event) and event.kind in ("chain_start", "tool_start"):
            inside.__enter__()
            self._inside[event.run_id] = inside
        elif event.ends and (entered := self._inside.pop(event.run_id, None)) is not None:
            with suppress(ValueError):  # an event loop may tell of the end in another context than that of the start
                entered.__exit__()


class _Written(Protocol):
    root: Any

    @property
    def writer(self) -> ScriptWriter | AsyncScriptWriter: ...


I = TypeVar("I", bound=_Written)  # noqa: E741


class Invocations(Generic[I]):
    """The invocations that go on, by the ids of all that runs in them.

    A run whose parent is not known is the root of an invocation: that of a graph, or of a model that has the handler
    for itself.
    """

    def __init__(self, make: Callable[[Told], I]) -> None:
        self._make = make
        self._of: dict[Any, I] = {}
        self._going: dict[Any, I] = {}
        self._ended: deque[Any] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()
        self.last: I | None = None
        """That which began last."""

    @property
    def going(self) -> list[I]:
        """Those whose root has not ended."""
        with self._lock:
            return [*self._going.values()]

    def find(self, event: Told) -> I | None:
        """The invocation of an event. One begins with the start of a run whose parent is not known."""
        with self._lock:
            found = self._of.get(event.run_id)
            if found is None and event.starts and event.parent_run_id not in self._ended:
                found = self._around(event) or self._begin(event)
                self._of[event.run_id] = found
            elif found is None and event.kind == "custom_event":
                found = self._of.get(event.parent_run_id)
            if found is not None and event.ends:
                self._forget(event, found)
            return found

    def _around(self, event: Told) -> I | None:
        """The invocation that it begins in. Some runnables, such as those with fallbacks, name no parent to what they
        run; then the context has it."""
        if event.parent_run_id is None and (parent := parent_in_context()) in self._of:
            event.parent_run_id = parent
        return self._of.get(event.parent_run_id)

    def _begin(self, event: Told) -> I:
        self.last = self._going[event.run_id] = self._make(event)
        return self.last

    def _forget(self, event: Told, found: I) -> None:
        self._of.pop(event.run_id, None)
        if found.root == event.run_id:
            self._going.pop(event.run_id, None)
            self._ended.append(event.run_id)
