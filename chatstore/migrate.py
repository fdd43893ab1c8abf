"""Bringing a store of an older format up to date.

A store's format is the number of the last revision that was run on it. It is kept in the store's own header and
nowhere else: the revisions and their operations are Alembic's, its version table is not used.
"""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from chatstore.databases import Location, locate
from chatstore.databases.upgrade import upgrade
from chatstore.errors import OpenError


def migrate(location: Location) -> tuple[int, int]:
    """Brings a store to the newest format; the format it had and the one it has now, equal if nothing was to do.

    It happens in one transaction: a process that is killed leaves the store as it was or wholly migrated. The store
    must not be open anywhere else: raises StoreBusy. Raises an OpenError, and leaves the file as it was, when it is
    no store or one of a newer format.
    """
    place = locate(location)
    if isinstance(place, Path):
        return upgrade(place, run_revisions)
    from chatstore.databases.postgres.migrating import upgrade_server

    return upgrade_server(place, run_revisions)


def run_revisions(conn: Connection, behind: int) -> None:
    """Runs every revision after this format, in order, in the connection's transaction."""
    with Operations.context(MigrationContext.configure(conn)):
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
