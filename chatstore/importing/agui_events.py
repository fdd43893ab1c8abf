"""Events of AG-UI in a file: JSON Lines, what a server sent as server-sent events, or one list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from chatstore.errors import InvalidInput
from chatstore.formats.jsonl import LONGEST
from chatstore.importing.entries import Source, Unread
from chatstore.importing.values import an_object, lines, parsed
from chatstore.model import JsonValue

Placed: TypeAlias = tuple[str, dict[str, JsonValue]]
_ENOUGH: Final = 1_000
_DONE: Final = b"[DONE]"
_FIELDS: Final = (b"data", b"event", b"id", b"retry", b"")

KNOWN: Final = re.compile(
    r"(RUN|TEXT_MESSAGE|TOOL_CALL|REASONING|THINKING|MESSAGES|STATE|STEP|ACTIVITY|SUBAGENT)(_[A-Z]+)+|CUSTOM|RAW"
)
"""The types of events of AG-UI."""


def events_of(source: Source) -> Iterator[Placed | Unread]:
    """The events with their places, and what is none."""
    yield from _from_the_first_known(_events(source))


def _from_the_first_known(
    events: Iterator[Placed | Unread],
) -> Iterator[Placed | Unread]:
    """The events, if one is of AG-UI: newer versions may have others too, but others alone are no trace."""
    waiting: list[Placed] = []
    for found in events:
        if isinstance(found, Unread):
            yield found
            continue
        waiting.append(found)
        if KNOWN.fullmatch(str(found[1]["type"])):
            yield from waiting
            yield from events
            return
        if len(waiting) >= _ENOUGH:
            break
    if waiting:
        kind = waiting[0][1]["type"]
        yield Unread(waiting[0][0], f"no event of AG-UI has the type {kind!r}, and none of the others is known either")


def _events(source: Source) -> Iterator[Placed | Unread]:
    peeked = source.raw.peek(1)[:64].lstrip(b"\xef\xbb\xbf \t\r\n") if hasattr(source.raw, "peek") else b""
    found = _listed(source) if peeked.startswith(b"[") else _lines(source)
    for place, value in found:
        try:
            yield place, _event(parsed(value) if isinstance(value, (bytes, type(None))) else value)
        except InvalidInput as error:
            yield Unread(place, str(error))


def _event(value: JsonValue) -> dict[str, JsonValue]:
    event = an_object(value, "the event")
    if not isinstance(event.get("type"), str):
        raise InvalidInput("it has no `type`, as every event of AG-UI has")
    return event


def _listed(source: Source) -> Iterator[tuple[str, Any]]:
    content = source.raw.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise InvalidInput(f"a list of more than {LONGEST:,} bytes; write an event a line")
    value = parsed(content.lstrip(b"\xef\xbb\xbf"))
    for number, event in enumerate(value if isinstance(value, list) else ()):
        yield f"event {number}", {} if event is None else event


def _lines(source: Source) -> Iterator[tuple[str, Any]]:
    """An event a line, or the data of server-sent events, whose lines belong together up to a blank one."""
    data: list[bytes] = []
    began, before = 0, 0
    for number, line in lines(source.raw):
        name, colon, value = (line or b"").rstrip(b"\r\n").partition(b":")
        if data and number > before + 1:  # blank lines are not among these
            yield from _sent(began, data)
            data = []
        before = number
        if line is None or not colon or name not in _FIELDS:
            yield f"line {number}", line
        elif name == b"data":
            began = number if not data else began
            data.append(value.removeprefix(b" "))
    if data:
        yield from _sent(began, data)


def _sent(began: int, data: list[bytes]) -> Iterator[tuple[str, Any]]:
    """The data of an event; of several where the blank lines between them were lost."""
    if all(piece.startswith(b"{") and piece.endswith(b"}") for piece in data):
        yield from ((f"line {began + number}", piece) for number, piece in enumerate(data))
    elif data != [_DONE]:
        yield f"line {began}", b"\n".join(data)
