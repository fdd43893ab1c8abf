"""Bringing a store of an older format up to date.

A store's format is the number of the last revision that was run on it. It is kept in the store's own header and
nowhere else: the revisions and their operations are Alembic's, its version table is not used.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from chatstore.databases import Location, driver_needed, locate
from chatstore.databases.upgrade import upgrade
from chatstore.errors import InvalidInput, OpenError

MOST_PARTITIONS = 1_024


def migrate(location: Location, *, partitions: int = 0) -> tuple[int, int]:
    """Brings a store to the newest format; the format it had and the one it has now, equal if nothing was to do.

    It happens in one transaction: a process that is killed leaves the store as it was or wholly migrated. The store
    must not be open anywhere else: raises StoreBusy. Raises an OpenError, and leaves the file as it was, when it is
    no store or one of a newer format.

    At a `postgresql://` URL a store is made where there is none. With `partitions`, the tables of that which grows with
    histories are made of so many parts, by a hash of the history. That is for new stores: raises InvalidInput
    for others, and for files.
    """
    place = locate(location)
    if not 0 <= partitions <= MOST_PARTITIONS:
        raise InvalidInput(f"partitions is a number from 0 (none) to {MOST_PARTITIONS:,}")
    if isinstance(place, Path):
        if partitions:
            raise InvalidInput("partitions are for stores on a server; a file has none")
        return upgrade(place, run_revisions)
    with driver_needed():
        from chatstore.databases.postgres.migrating import upgrade_server

    return upgrade_server(place, partial(run_revisions, partitions=partitions), new=partitions > 0)


def run_revisions(conn: Connection, behind: int, *, partitions: int = 0) -> None:
    """Runs every revision after this format, in order, in the connection's transaction."""
    with Operations.context(MigrationContext.configure(conn, opts={"partitions": partitions})):
        for script in _revisions():
            if int(script.revision) > behind:
                script.module.upgrade()


def _revisions() -> list[Script]:
    newest_first = ScriptDirectory(str(migrations_directory())).walk_revisions()
    return list(newest_first)[::-1]


def migrations_directory() -> Path:
    """Where the revisions are: inside an installed package, or else at the top of a checkout."""
    package = Path(__file__).parent
    for directory in (package / "_migrations", package.parent / "migrations"):
        if (directory / "versions").is_dir():
            return directory
    raise OpenError("this installation of chatstore has no migrations; install it again")
