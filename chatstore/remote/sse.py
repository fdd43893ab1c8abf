"""Server-sent events, from bytes as they come. Lines are ended by line feeds alone, as our own server ends them."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event: its name, its data, and the id that it has."""

    name: str
    data: str
    id: str | None


class Events:
    """Takes bytes, and gives the events that are complete."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._last = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that end within this piece."""
        self._pieces.append(data)
        seam, self._last = self._last + data, data[-1:] or self._last
        if b"\n\n" not in seam:
            return []
        whole, _, rest = b"".join(self._pieces).rpartition(b"\n\n")
        self._pieces = [rest]
        return [event for text in whole.split(b"\n\n") if (event := _event(text)) is not None]


def _event(text: bytes) -> Event | None:
    name, id, data = "message", None, list[str]()
    for line in text.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode()
        elif field == b"id":
            id = value.decode()
        elif field == b"data":
            data.append(value.decode())
    return Event(name, "\n".join(data), id) if data else None
