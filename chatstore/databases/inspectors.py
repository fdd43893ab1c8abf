"""Connections that look at a whole store, whichever database it is in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import Connection

from chatstore.databases import Place, driver_needed, inspecting
from chatstore.databases.backup import Progress
from chatstore.databases.base import Database
from chatstore.databases.inspecting import Inspector
from chatstore.databases.sqlite import SqliteDatabase
from chatstore.operations.integrity.checking import CheckReport, StoreCheck


class AnyInspector(Protocol):
    """A connection of its own to a store."""

    def __enter__(self) -> Self:
        """Itself; it is closed at the end of the block."""

    def __exit__(self, *_: object) -> None:
        """Closes it."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """The connection within one read transaction, which sees the store as it was at one moment."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """The connection within one that writes; rolled back by an error, else committed and synced."""


def inspector(place: Place) -> AnyInspector:
    """A connection to the store at a place."""
    if isinstance(place, Path):
        return Inspector(place)
    with driver_needed():
        from chatstore.databases.postgres.inspecting import ServerInspector

    return ServerInspector(place)


def check(database: Database, place: Place, progress: Progress | None = None) -> CheckReport:
    """Looks at everything in a store that is open; see `ChatStore.check`."""
    if isinstance(database, SqliteDatabase):
        return inspecting.check(database, progress)
    with inspector(place) as looking:
        return StoreCheck(looking.snapshot, progress).run()
