"""What the callback handlers for threads and for event loops have in common: how they are made, and their runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar, Unpack

from langchain_core.callbacks import BaseCallbackHandler

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput, UsageError
from chatstore.history import History
from chatstore.recorders.langchain.invocations import I, Invocations
from chatstore.recorders.langchain.runs import Cast
from chatstore.recorders.langchain.script import LangChainScript
from chatstore.recorders.langchain.told import Told
from chatstore.recorders.langchain.tools import Results
from chatstore.recorders.machine.options import RecordOptions, check_options

H = TypeVar("H", History, AsyncHistory)

_TAKEN_BY: Final = {
    History: "a history of a ChatStore takes a HistoryCallbackHandler",
    AsyncHistory: "a history of an AsyncChatStore takes an AsyncHistoryCallbackHandler",
}


def _graph_handler() -> Any:
    """What is told of graphs that wait, too, where there is LangGraph."""
    try:
        return import_module("langgraph.callbacks").GraphCallbackHandler
    except (ImportError, AttributeError):
        return BaseCallbackHandler


if TYPE_CHECKING:
    GraphHandler: TypeAlias = BaseCallbackHandler
else:
    GraphHandler = _graph_handler()


class BaseHandler(GraphHandler, Generic[H, I]):  # type: ignore[misc, unused-ignore]
    """A handler of a history, whose callbacks are its subclass's affair, as is how an invocation begins."""

    raise_error = True  # nothing is raised but RunCancelled, unless strict
    run_inline = (
        True  # where the run is current; an event loop would tell of tokens in threads that overtake each other
    )
    _takes: ClassVar[type[History] | type[AsyncHistory]]

    def __init__(
        self,
        history: H,
        *,
        shown: Collection[str] | None = None,
        streamed: Collection[str] | None = None,
        live: bool = False,
        **options: Unpack[RecordOptions],
    ) -> None:
        super().__init__()
        _check_history(history, self._takes)
        check_options(options, "a handler")
        self._script = partial(LangChainScript, Cast(shown, streamed), Results())
        self._history: H = history
        self._options = options
        self._invocations: Invocations[I] = Invocations(self._make)
        if live:
            self.tap_output_iter: Callable[[Any, Any], Any] = _as_it_is  # what LangChain knows streaming handlers by
            self.tap_output_aiter: Callable[[Any, Any], Any] = _as_it_is

    @property
    def run_id(self) -> str | None:
        """The run of the invocation that began last."""
        last = self._invocations.last
        return None if last is None else last.writer.scope.id

    @property
    def run_ids(self) -> list[str]:
        """The runs of the invocations that go on."""
        return [one.writer.scope.id for one in self._invocations.going]

    @abstractmethod
    def _make(self, event: Told) -> I:
        """The invocation that begins with an event."""


def _check_history(history: Any, wanted: type) -> None:
    if isinstance(history, wanted):
        return
    for kind, advice in _TAKEN_BY.items():
        if isinstance(history, kind):
            raise UsageError(advice)
    raise InvalidInput(f"a handler takes a history of a store, not {type(history).__name__}")


def _as_it_is(run_id: Any, output: Any) -> Any:
    """What LangChain lets a streaming handler read beside; here nothing."""
    return output
