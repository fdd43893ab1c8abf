"""The three files of an open store, and whether they are still the ones that were opened.

A file that is removed or replaced stays with those who have it open: they go on reading and writing what nobody
else will ever see, and SQLite does not say so. What lies at the paths is therefore compared with what was opened, by
`os.stat` alone, some 2 µs a file: opening one by other means than SQLite would drop locks (see `guard`). Where the
database is copied over or truncated, it stays the same file, and SQLite does not look again at pages that it has in its
cache or its log. But SQLite writes there only when it copies the log, and counts that in the log's index: a database
that is another than at the last look, under the same count, was written to by somebody else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from chatstore.databases.guard import Copied
from chatstore.errors import StoreReplaced

SUFFIXES = ("", "-wal", "-shm")
"""The database, SQLite's write-ahead log, and the index to the log, which the processes share."""

LATELY = 0.01
"""Seconds between two looks at all three by a process that commits all the time. An index that is removed takes nothing
with it; only who opens the store anew then makes another, and needs longer for it."""


Seen: TypeAlias = tuple[Copied | None, tuple[int, int]]
"""How much of the log was in the database, and when that was written to and how large it was."""


class StoreFiles:
    """Made while a connection is open. From then until the last one closes, all three stay: a checkpoint, VACUUM or a
    close elsewhere changes what is in them, and not which they are."""

    def __init__(self, path: Path, copied: Callable[[], Copied | None]) -> None:
        """`copied`: how much of the log is in the database."""
        self._names = [f"{path}{suffix}" for suffix in SUFFIXES]
        self._opened = [_identity(name) for name in self._names]
        self._copied = copied
        self._seen: Seen = None, (0, 0)
        self._overwritten = False
        self._replaced = False
        self._looked = 0.0
        self.log_size: int = 0
        """Bytes of the log, when it was last looked at."""
        self.check()

    def check(self) -> None:
        """Raises StoreReplaced once one of them was removed or replaced, and from then on."""
        if self._replaced or not (self._database_and_log() and self._index()):
            self._refuse()

    def check_after_commit(self) -> None:
        """The same, but for the index of the log: a commit is in the database and the log alone."""
        if self._replaced or not self._database_and_log():
            self._refuse()

    def check_unless_lately(self) -> None:
        """The same, when it has not been done lately."""
        if self._replaced or time.monotonic() - self._looked > LATELY:
            self.check()

    def refuse_overwritten(self) -> None:
        """Raises StoreReplaced, and does so from then on: the files are the same ones, but hold another store."""
        self._overwritten = True
        self._refuse()

    def _refuse(self) -> None:
        self._replaced = True  # for good: what was written to other files meanwhile cannot be brought together
        raise StoreReplaced(f"{self._what_happened()}. What was written last may be stored, or not")

    def database_in_place(self) -> bool:
        """Whether the database is still at its path, and the same store, whatever became of its log."""
        return not self._overwritten and self._opened[0] == _identity(self._names[0])

    def may_end_log(self) -> bool:
        """Whether the last connection may do what SQLite does at its close: copy the log into the database, remove it.

        If the log was removed already, that saves what was in it. Had another process opened the store since, there
        would be a log of its own, which is not removed while this process has the store open; that is left alone.
        """
        try:
            self.check()
        except StoreReplaced:
            return self.database_in_place() and not os.path.lexists(self._names[1])
        return True

    def _database_and_log(self) -> bool:
        file_name, log_name, _ = self._names
        copied = self._copied()  # before it is looked what there is, and again afterwards, if that has changed
        try:
            file, log = os.stat(file_name), os.stat(log_name)  # noqa: PTH116 - half the time of Path.stat
        except OSError:
            return False
        self.log_size = log.st_size
        if (file.st_dev, file.st_ino) != self._opened[0] or (log.st_dev, log.st_ino) != self._opened[1]:
            return False
        seen = copied, (file.st_mtime_ns, file.st_size)
        return seen == self._seen or self._is_sqlites(seen)

    def _is_sqlites(self, seen: Seen) -> bool:
        """Whether SQLite wrote what is new. In doubt it did: while it copies, and where that was left half-way, it may
        write at any moment."""
        copied, written = seen
        if copied is None or copied.done != copied.begun or copied != self._copied():
            return True
        (before, written_before), self._seen = self._seen, seen
        self._overwritten = before == copied and written != written_before
        return not self._overwritten

    def _index(self) -> bool:
        self._looked = time.monotonic()
        # By device and inode: times and sizes may be equal, and a link in /proc that says `(deleted)` may be wrong.
        return _identity(self._names[2]) == self._opened[2] is not None

    def _what_happened(self) -> str:
        if self._overwritten:
            return (
                f"{self._names[0]} was overwritten or restored while the store was open; close it in every process,"
                " restore it again if need be, without a -wal beside it, and open it again"
            )
        for name, opened in zip(self._names, self._opened, strict=True):
            if (found := _identity(name)) != opened or opened is None:
                done = "removed" if found is None else "replaced"
                return f"{name} was {done} while the store was open; close it in every process and open it again"
        return f"{self._names[0]} was gone for a time while the store was open; close it and open it again"


def _identity(name: str) -> tuple[int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino
