"""Database files of other programs: read, and never changed.

Rows are read in pages, each on a connection of its own, so that the program which writes the file waits for no import.
A file in WAL mode without a log beside it is in nobody's hands: it is read as immutable, since any other connection
would leave an empty log and its index there. Where there is a log, SQLite may make its index (`-shm`) anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from chatstore.errors import InvalidInput

HEADER: Final = b"SQLite format 3\0"
"""How such a file begins."""
_WAL_FORMAT: Final = b"\2"
_WRITE_VERSION: Final = 18
_WAIT: Final = 5.0
_PAGE: Final = 500
_BEFORE_ALL: Final = -(2**63)


class ForeignFile:
    """A file of somebody else's. Everything it raises is an InvalidInput that says what is wrong with the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tables(self) -> dict[str, list[str]]:
        """The columns of each table, by their names."""
        found = self.read(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
        return {
            str(name): [str(row[1]) for row in self.read(f"PRAGMA table_info({quoted(name)})")] for (name,) in found
        }

    def read(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement. Text that is not UTF-8 comes with lone surrogates in it."""
        while True:
            alone = self._is_alone()
            rows = self._rows(statement, values, "immutable=1" if alone else "mode=ro")
            if not alone or self._is_alone():  # or else somebody began to write meanwhile
                return rows

    def pages(self, statement: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement that gives `:limit` rows whose first column, the row id, is greater than `:after`."""
        after: Any = _BEFORE_ALL
        while True:
            rows = self.read(statement, {**values, "after": after, "limit": _PAGE})
            yield from rows
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def _is_alone(self) -> bool:
        if self._path.with_name(f"{self._path.name}-wal").exists():
            return False
        return _start_of(self._path)[_WRITE_VERSION : _WRITE_VERSION + 1] == _WAL_FORMAT

    def _rows(self, statement: str, values: Any, mode: str) -> list[tuple[Any, ...]]:
        address = f"file:{quote(str(self._path.absolute()))}?{mode}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=_WAIT)) as conn:
                conn.text_factory = _text
                return conn.execute(statement, values).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise InvalidInput(_told(error)) from error


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def begins_one(start: bytes) -> bool:
    """Whether these are the first bytes of a database file."""
    return start.startswith(HEADER)


def is_database(path: Path) -> bool:
    """Whether a file begins as a database does.

    Not for a store that this process has open: closing a file drops the locks that SQLite holds on it.
    """
    return path.is_file() and begins_one(_start_of(path))


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_WRITE_VERSION + 1)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _told(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "the database is locked by another program; try again when it has finished"
    if name == "SQLITE_NOTADB":
        return f"it is no database, or a damaged one ({error})"
    if name.startswith("SQLITE_CORRUPT"):
        return f"the database is damaged ({error}); a copy that sqlite3's .recover makes may be read"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return f"the database cannot be read where it is ({error}); copy it, with the -wal or -journal beside it"
    return f"the database cannot be read ({error})"
