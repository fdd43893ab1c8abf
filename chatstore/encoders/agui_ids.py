"""Ids of AG-UI events: where to go on behind each, and what the encoder knew there."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from chatstore.cursor import Cursor, is_cursor
from chatstore.errors import InvalidCursor
from chatstore.model import JsonValue

_STATE: TypeAdapter[Any] = TypeAdapter(
    tuple[str | None, bool, dict[str, str | None], list[str], tuple[int | None, int, dict[str, int]]]
)


class Place(NamedTuple):
    """Behind which event a client stands: `events` of the change that follows the cursor were given already.

    `joins`: it stands in the middle of a prelude, which cannot be gone on with; it joins anew.
    """

    cursor: Cursor
    events: int
    joins: bool
    state: str
    run: str | None = None
    passing: bool = False
    inner: Mapping[str, str | None] = {}
    announced: Sequence[str] = ()
    growth: Sequence[Any] = (None, 0, {})

    @staticmethod
    def state_of(*values: JsonValue) -> str:
        """What an encoder knows, as text for an id."""
        return urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).rstrip(b"=").decode()


def event_id(cursor: str, k: str, state: str) -> str:
    """The id of an event."""
    return f"{cursor}-{k}~{state}"


def place_of(id: str) -> Place:
    """Where an event's id says to go on: what a client sends as Last-Event-ID. Raises InvalidCursor."""
    head, _, state = id.partition("~")
    cursor, _, k = head.rpartition("-")
    joins = k.startswith("x")
    if not is_cursor(cursor) or not k.removeprefix("x").isdecimal() or len(k) > 9:
        raise InvalidCursor("this is not the id of an AG-UI event of a chatstore; leave Last-Event-ID out")
    if joins:
        return Place(Cursor(cursor), 0, True, "")
    if not state:
        return Place(Cursor(cursor), int(k), False, "")
    try:
        values = _STATE.validate_json(urlsafe_b64decode(state + "=" * (-len(state) % 4)))
    except (ValueError, ValidationError):
        raise InvalidCursor("the id of this AG-UI event is damaged; leave Last-Event-ID out") from None
    return Place(Cursor(cursor), int(k), False, state, *values)
