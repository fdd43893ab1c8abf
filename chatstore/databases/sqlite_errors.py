"""From the errors of SQLite, of its driver and of SQLAlchemy to ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chatstore.errors import (
    ChatStoreError,
    NotAStore,
    OpenError,
    StorageError,
    StoreBusy,
    StoreDamaged,
    StoreFull,
    StoreReadOnly,
)

# The last where SQLite quotes in its message what is no text any more, such as the statement that made a table.
DRIVER_ERRORS = (sqlite3.Error, SQLAlchemyError, UnicodeDecodeError)
_LOOK = "look at its space, your quota, the limit of a file's size (ulimit -f) and the disk (dmesg), then try again"
_NOT_TEXT = "Could not decode to UTF-8"


def translate(error: Exception, path: Path) -> ChatStoreError:
    """The error of our tree for an error of an open store."""
    original, name = _original(error)
    # By the beginning: extended codes say which kind it was, and more of them come with SQLite's versions.
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(f"{path} stayed locked by another process; try again, or raise busy_timeout")
    if name == "SQLITE_FULL":
        return StoreFull(f"no space left for {path}; free some, then go on writing")
    if name.startswith("SQLITE_READONLY"):
        return StoreReadOnly(f"{path} or its directory cannot be written by this process ({original})")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(f"{path} is damaged ({original}); restore a backup")
    # The driver's own, which quotes the text, and Python's.
    if not name and (isinstance(original, UnicodeDecodeError) or str(original).startswith(_NOT_TEXT)):
        return StoreDamaged(f"{path} holds text that is not UTF-8 any more, and so is damaged; restore a backup")
    reported = f"the database reported {original} ({name or type(original).__name__}) for {path}"
    return StorageError(f"{reported}; {_LOOK}" if name.startswith("SQLITE_IOERR") else reported)


def translate_opening(error: Exception, path: Path) -> ChatStoreError:
    """The same while a store is opened, where the file may be anything."""
    original, name = _original(error)
    if name == "SQLITE_NOTADB":
        return NotAStore(f"{path} is not a chatstore file; it was left as it is")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM")):
        return OpenError(f"{path} cannot be opened: {original} ({name})")
    if name == "SQLITE_ERROR":
        return StoreDamaged(f"{path} has lost its tables ({original}); restore a backup")
    return translate(error, path)


def _original(error: Exception) -> tuple[BaseException, str]:
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return original, getattr(original, "sqlite_errorname", "")
