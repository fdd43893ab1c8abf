"""What a store is, beside what it holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from chatstore.databases import Place, driver_needed
from chatstore.databases.sqlite_file import format_of

Facts = dict[str, str | int]


def facts(place: Place) -> Facts:
    """Where a store is, its format, how large it is, and which version its database has."""
    if isinstance(place, Path):
        return {
            "path": str(place),
            "format": format_of(place),
            "bytes_on_disk": bytes_on_disk(place),
            "sqlite": sqlite3.sqlite_version,
        }
    with driver_needed():
        from chatstore.databases.postgres import facts as server

    return server.facts(place)


def bytes_on_disk(place: Place) -> int:
    """Bytes on the disk: of a file and of SQLite's files beside it, or of the tables on a server."""
    if isinstance(place, Path):
        files = (place.with_name(f"{place.name}{suffix}") for suffix in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())
    with driver_needed():
        from chatstore.databases.postgres import facts as server

    return server.bytes_on_disk(place)
