"""Recording the events of a synchronous stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from chatstore.errors import ChatStoreError
from chatstore.finalizing import apart
from chatstore.history import History
from chatstore.recorders.machine.course import stops
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.script import Script
from chatstore.recorders.machine.script_writer import ScriptWriter

E = TypeVar("E")


class Recording(Generic[E]):
    """The events of a stream, unchanged, each given out when it is recorded. An iterator, and a context manager.

    The run starts with the first event that is asked for. It ends as `completed` after the event that ends such a
    stream; as `failed` if the stream raises, says that it failed, breaks off or is idle for too long; as `cancelled` if
    whoever reads the events stops, or somebody cancels the run: then RunCancelled is raised, and the stream is closed.
    """

    def __init__(self, script: Script[E], source: Iterable[E], history: History, options: RecordOptions) -> None:
        self._writing = ScriptWriter(script, history, options)
        self._events = _record(self._writing, source)

    @property
    def run_id(self) -> str:
        """The id of the run, known from the start."""
        return self._writing.scope.id

    @property
    def take(self) -> Callable[[Any], None]:
        """Records an event that comes another way than by the stream, as to a callback; for any thread."""
        return self._writing.take  # which does not keep the recording alive

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        return next(self._events)

    def close(self) -> None:
        """Stops: the run ends as `cancelled`, unless it has ended, and the stream is closed."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _record(writing: ScriptWriter, source: Iterable[E]) -> Generator[E, None, None]:
    # A function beside the class: a recording that is dropped is closed at once, as no circle holds it.
    events = iter(source)
    try:
        _refuse(writing)
    except BaseException:
        _close(source, events)
        raise
    try:
        writing.begin()
        while True:
            with writing.pull:
                try:
                    event = next(events)
                except StopIteration:
                    break
            writing.take(event)
            yield event
    except BaseException as error:
        if not apart(_end, writing, error, source, events):
            _end(writing, error, source, events)
        raise
    writing.end(None)


def _end(writing: ScriptWriter, error: BaseException, source: Iterable[object], events: Iterator[object]) -> None:
    try:
        writing.end(error)
    finally:
        if stops(error):
            _close(source, events)  # behind the end of the run: it may take as long as a tool does


def _refuse(writing: ScriptWriter) -> None:
    context = None
    if writing.course.script.written_by is not None:
        with suppress(ChatStoreError):  # that is for the recording to tell
            context = writing.history.info()
    writing.course.refuse(context)


def _close(*streams: Any) -> None:
    for stream in streams:
        close: Callable[[], object] | None = getattr(stream, "close", None)
        if close is not None:
            with suppress(RuntimeError):  # from a generator that yields once more as it is closed
                close()
