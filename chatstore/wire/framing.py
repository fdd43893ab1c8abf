"""Server-sent events and JSON Lines, as bytes.

An event is `id:`, `event:` and `data:` lines and an empty one, ended by line feeds alone: clients of AG-UI split at
two of them. https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import Final

from chatstore.changes import Change
from chatstore.wire import changes

EVENT_STREAM: Final = "text/event-stream"
JSON_LINES: Final = "application/x-ndjson"
HEARTBEAT: Final = "heartbeat"
"""The name of the event that only says where the stream is; it has no data."""
COMMENT: Final = b":\n\n"
"""A sign of life that every client leaves out."""
END: Final = "end"
"""The name of the last event of a stream that nothing will follow, where its readers are told so."""
STREAM_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx would keep an answer back until it has gathered some
}
_ENDS: Final = str.maketrans("", "", "\r\n\0")


def event(data: str, *, name: str | None = None, id: str | None = None) -> bytes:
    """One event. `data` is a line of JSON, or empty; what would end a line is left out of `name` and `id`."""
    lines = []
    if id is not None:
        lines.append(f"id: {id.translate(_ENDS)}\n")
    if name is not None:
        lines.append(f"event: {name.translate(_ENDS)}\n")
    lines.extend(f"data: {line}\n" for line in _lines(data))
    return "".join([*lines, "\n"]).encode()


def _lines(data: str) -> list[str]:
    if "\n" not in data and "\r" not in data:
        return [data]
    return data.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def heartbeat(cursor: str | None) -> bytes:
    """Says that the stream lives. Its empty data has EventSource take the id; without data it would not."""
    return event("", name=HEARTBEAT, id=cursor)


def sse_of(change: Change | None, cursor: str | None) -> bytes:
    """A change with the cursor to resume at behind it; None: nothing has come."""
    if change is None:
        return heartbeat(cursor)
    return event(changes.to_json(change), name=changes.name_of(change), id=cursor)


def retry(milliseconds: int) -> bytes:
    """Tells EventSource how long to wait before it comes back: a line of the first event, whichever that is. By itself
    it would be an event without data to some clients."""
    return f"retry: {milliseconds}\n".encode()


def line(data: str) -> bytes:
    """One line of JSON Lines."""
    return f"{data}\n".encode()
