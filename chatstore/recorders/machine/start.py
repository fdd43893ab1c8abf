"""A recording of a script, for threads or for an event loop, as the history is."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, TypeVar, overload

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput, UsageError
from chatstore.history import History
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions, check_options
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Script

E = TypeVar("E")


@overload
def start(script: Script[E], source: Iterable[E], history: History, options: RecordOptions) -> Recording[E]: ...
@overload
def start(
    script: Script[E], source: AsyncIterable[E], history: AsyncHistory, options: RecordOptions
) -> AsyncRecording[E]: ...
def start(script: Script[Any], source: Any, history: Any, options: RecordOptions) -> Any:
    """Records a stream by a script. Raises UsageError where one of the two is for threads and the other is not, and
    InvalidInput for what is no stream, no history or no option."""
    check_options(options, "record")
    if isinstance(history, History):
        if isinstance(source, Iterable):
            return Recording(script, source, history, options)
        if isinstance(source, AsyncIterable):
            raise UsageError("an asynchronous stream is recorded in a history of an AsyncChatStore, with `async for`")
    elif isinstance(history, AsyncHistory):
        if isinstance(source, AsyncIterable):
            return AsyncRecording(script, source, history, options)
        if isinstance(source, Iterable):
            raise UsageError("a stream that is read with `for` is recorded in a history of a ChatStore")
    else:
        raise InvalidInput(f"record takes a history of a store, not {type(history).__name__}")
    raise InvalidInput(
        f"record takes a stream of events, not {type(source).__name__}: await it, or enter it by `with`, first"
    )
