"""What a store and its place are like, whichever database it is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chatstore.databases import Place, diagnosis, driver_needed
from chatstore.databases.diagnosis import Finding


def surroundings(place: Place) -> Iterator[Finding]:
    """What can be said of a file's place, or of a server, without opening the store there."""
    if isinstance(place, Path):
        return diagnosis.place(place)
    with driver_needed():
        from chatstore.databases.postgres.diagnosis import server

    return server(place)


def store(place: Place) -> Iterator[Finding]:
    """What can be said of the store there; it is open meanwhile."""
    if isinstance(place, Path):
        yield from diagnosis.file(place)
        yield diagnosis.durability(place)
        return
    with driver_needed():
        from chatstore.databases.postgres.diagnosis import store as on_server

    yield from on_server(place)
