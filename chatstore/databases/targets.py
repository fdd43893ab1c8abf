"""Where a copy of a store is made: a file that appears when it is whole, or the empty store of a database."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from chatstore.databases import Place, driver_needed, sqlite_file
from chatstore.databases.backup import sync_directory
from chatstore.databases.inspecting import Inspector
from chatstore.databases.sqlite import run
from chatstore.errors import InvalidInput, StoreBusy, StoreNotFound
from chatstore.operations.copying import origins
from chatstore.operations.prepared import driver


class Target(Protocol):
    """A copy in the making. Only one process works on it, and nobody takes it for a store until it is whole."""

    identity: str
    unfinished: str
    """What to remove to give it up, while it is not whole."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """One that writes; rolled back by an error, else committed and synced."""

    def settle(self, conn: Connection, places: list[int]) -> list[int] | None:
        """Has new rows numbered behind those that were copied. Where the log cannot keep its places, it gets new ones
        in the same order, and these of before are given as they are now."""

    def publish(self) -> None:
        """Puts the whole copy in its place."""

    def close(self) -> None:
        """Lets go of it, whole or not."""


class FileTarget:
    """A store's file, in a hidden directory beside its place until it is whole."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise InvalidInput(f"{path} is there already and was left as it is; name another file")
        self._path = path
        if not path.parent.is_dir():
            raise StoreNotFound(f"{path.parent} does not exist; make the directory first")
        with sqlite_file.reaching(path):
            self._new = path.parent / f".{path.name[:100]}-copying" / "copy.db"
            self._new.parent.mkdir(mode=0o700, exist_ok=True)
        self.unfinished: str = f"the directory {self._new.parent}"
        if not self._new.exists():
            sqlite_file.prepare(self._new, create=True)
        try:
            self._inspector = Inspector(self._new, patience=0.3)
            self.identity: str = self._claim()
        except StoreBusy as error:
            raise _is_worked_on(path) from error

    def _claim(self) -> str:
        """Locks the file until the connection is closed; the identity of the copy."""
        try:
            # Locks are then kept from one transaction to the next, and end with the process however that ends.
            run(self._inspector.conn, "PRAGMA locking_mode=EXCLUSIVE")
            with self.transaction() as conn:
                sqlite_file.check_version(self._inspector.number("user_version"), self._new)
                return str(origins.info(conn, "identity"))
        except BaseException:
            self.close()
            raise

    def transaction(self) -> AbstractContextManager[Connection]:
        """One that writes."""
        return self._inspector.transaction()

    def settle(self, conn: Connection, places: list[int]) -> list[int] | None:
        """SQLite numbers behind what is there by itself."""
        return None

    def publish(self) -> None:
        """Closes the file, without a log beside it, and gives it its name."""
        driver(self._inspector.conn).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.close()
        try:
            # A link fails where there is a file by now; a rename would replace it.
            self._path.hardlink_to(self._new)
        except FileExistsError:
            raise InvalidInput(f"{self._path} was made meanwhile, and left as it is; the copy is {self._new}") from None
        self._new.unlink()
        with suppress(OSError):
            self._new.parent.rmdir()
        sync_directory(self._path.parent)

    def close(self) -> None:
        """Closes the file."""
        self._inspector.conn.close()


def _is_worked_on(place: object) -> StoreBusy:
    return StoreBusy(f"another process is making the copy at {place}; let it finish, or stop it and start again")


def open_target(place: Place) -> Target:
    """Begins a copy, or goes on with one that is not whole."""
    if isinstance(place, Path):
        return FileTarget(place)
    with driver_needed():
        from chatstore.databases.postgres.target import ServerTarget

    return ServerTarget(place)
