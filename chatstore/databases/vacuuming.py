"""Giving the free pages of a store's file back, while others have it open.

The pages go in short transactions, as many as an append would wait for without anyone's noticing. SQLite's VACUUM
would do it in one, which writes the whole store into the log and keeps every writer waiting until it is done.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from chatstore.databases import Location, open_file
from chatstore.databases.backup import Progress
from chatstore.databases.inspecting import Inspector
from chatstore.databases.sqlite import SqliteDatabase
from chatstore.databases.sqlite_errors import DRIVER_ERRORS
from chatstore.errors import StoreBusy
from chatstore.model import Model

_PAUSE: Final = 0.001
"""Seconds between two of them, in which others get their turn."""


class VacuumReport(Model):
    """Bytes of the file before and after, and free bytes that are in it still.

    `held`: the file could not be made shorter yet, because somebody reads from it; the next checkpoint does it.
    """

    before: int
    after: int
    free: int
    held: bool


def vacuum(location: Location, *, busy_timeout: float = 10.0, progress: Progress | None = None) -> VacuumReport:
    """Gives a store's free pages back to the file system. `progress(done, total)` is told bytes."""
    database = open_file(location, "vacuum", busy_timeout=busy_timeout)
    try:
        with Inspector(database.path) as inspector:
            return _vacuum(database, inspector, progress)
    except DRIVER_ERRORS as error:
        raise database.translate(error) from error
    finally:
        database.close()


def _vacuum(database: SqliteDatabase, inspector: Inspector, progress: Progress | None) -> VacuumReport:
    before, size = _size(database.path), inspector.number("page_size")
    total = left = inspector.number("freelist_count")
    while left > 0:
        with inspector.transaction() as conn:
            database.check_in_place()
            database.give_back(conn)
        database.check_in_place()
        if database.wants_checkpoint():
            database.checkpoint(inspector.conn)
        left = min(left - 1, inspector.number("freelist_count"))  # ends, whatever others free meanwhile
        if progress is not None:
            progress((total - left) * size, total * size)
        time.sleep(_PAUSE)
    held = False
    try:
        database.empty_log(inspector.conn)
    except StoreBusy:
        held = True
    free = inspector.number("freelist_count") * size
    return VacuumReport(before=before, after=_size(database.path), free=free, held=held)


def _size(path: Path) -> int:
    return path.stat().st_size
