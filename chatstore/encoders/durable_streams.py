"""Durable Streams, the half that is read: a context and a run as streams of State Protocol messages.

Offsets are cursors: they sort as text, and have no character that a URL or a header would have to escape. Source of the
format: PROTOCOL.md of durable-streams/durable-streams and the npm packages @durable-streams/client and
@durable-streams/state, against which this is tested.

A stream of a context has blocks and runs. The text of a block that still grows is empty there, and whole once it has
ended. A stream of a run has the pieces too, as rows of type `delta` that are only inserted.

Who reads late is shown blocks as they are now. What such readers make of it is the same, the bytes are not: answers are
not to be cached (`cache-control: no-store`, no ETag).
"""

from __future__ import annotations

from datetime import datetime

from chatstore.changes import (
    BlockAdded,
    BlockChange,
    Change,
    HistoryErased,
    RunChange,
    RunEnded,
    RunStarted,
    TextAppended,
)
from chatstore.cursor import Cursor
from chatstore.encoders.shown import Event
from chatstore.errors import InvalidCursor
from chatstore.model import Block, JsonValue

CONTENT_TYPE = "application/json"
START = "-1"
"""The offset before the first message; that of the end is `now`, as in `subscribe`."""

_EPOCH = 1_728_432_000
"""2024-10-09T00:00Z, from which the intervals of stream cursors are counted."""
_INTERVAL = 20


def context_message(change: Change) -> Event | None:
    """The message of a change in the stream of its context; None of text, which is told when the block has ended."""
    match change:
        case BlockAdded():
            return _block(change, "insert")
        case TextAppended():
            return None
        case RunStarted() | RunEnded():
            return _run(change)
        case HistoryErased(cursor=cursor):
            return {"headers": {"control": "reset", "offset": cursor}}
        case _:
            return _block(change, "update")


def run_message(change: Change) -> Event | None:
    """The message of a change in the stream of a run. The stream is closed behind the RunEnded of the run itself."""
    if not isinstance(change, TextAppended):
        return context_message(change)
    value = {"block": change.block_id, "index": change.index, "at": change.offset, "text": change.text}
    key = f"{change.block_id}/{change.offset}"
    return {"type": "delta", "key": key, "value": value, "headers": {"operation": "insert", "offset": change.cursor}}


def after_of(offset: str | None) -> str | None:
    """What `subscribe(after=…)` takes for an offset of a request."""
    if offset in (None, "", START):
        return None
    if any(character in ",&=?/" for character in offset):
        raise InvalidCursor("this is not the offset of a stream; read it from the beginning, at offset=-1")
    return offset


def control(
    offset: str,
    *,
    now: float,
    echoed: str | None = None,
    jitter: int = 1,
    up_to_date: bool = False,
    closed: bool = False,
) -> Event:
    """The data of the control event behind the data events of a stream of server-sent events."""
    position = {"streamNextOffset": offset, "streamCursor": stream_cursor(now, echoed, jitter)}
    if closed:
        return {**position, "streamClosed": True}
    return {**position, "upToDate": True} if up_to_date else position


def stream_cursor(now: float, echoed: str | None = None, jitter: int = 1) -> str:
    """The number of the interval of 20 s that `now` (seconds since 1970) lies in, or one behind what the client sent.

    It keeps caches from joining requests for ever. `jitter`: how far behind, 1 to 180 at random.
    """
    interval = int(now - _EPOCH) // _INTERVAL
    sent = int(echoed) if echoed is not None and echoed.isdecimal() and len(echoed) < 16 else -1
    return str(interval if sent < interval else sent + max(1, jitter))


def _block(change: BlockChange, operation: str) -> Event:
    block: Block = change.block
    value = block.model_dump(mode="json")
    if block.state == "open":
        value["text"] = ""
    return _message("block", block.id, value, operation, block.updated_at, change.cursor)


def _run(change: RunChange) -> Event:
    operation = "insert" if isinstance(change, RunStarted) else "update"
    run = change.run
    value = run.model_dump(mode="json")
    return _message("run", run.id, value, operation, run.ended_at or run.started_at, change.cursor)


def _message(type: str, key: str, value: JsonValue, operation: str, at: datetime, cursor: Cursor) -> Event:
    headers = {"operation": operation, "timestamp": at.isoformat().replace("+00:00", "Z"), "offset": cursor}
    return {"type": type, "key": key, "value": value, "headers": headers}
