"""What goes on while a recording asks its stream for an event."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from chatstore.runs import Inside

_pulling: ContextVar[Any] = ContextVar("chatstore_recording", default=None)


class Pull:
    """Makes the run of a recording current while it asks its stream for an event, and the recording known to what
    listens inside of the stream: a plugin or a capability of the framework that would else write the same again."""

    def __init__(self, writer: Any, inside: Inside) -> None:
        self._writer, self._inside = writer, inside

    def __enter__(self) -> None:
        self._inside.__enter__()
        self._token = _pulling.set(self._writer)

    def __exit__(self, *_: object) -> None:
        _pulling.reset(self._token)
        self._inside.__exit__()


def pulled_by(place: tuple[str, str]) -> Any | None:
    """The writer of a recording into this place, of a history of a store, that waits for the first event of what
    begins here; None where nothing records it."""
    writer = _pulling.get()
    if writer is None or writer.course.begun or writer.course.over or writer.scope.place != place:
        return None
    return writer
