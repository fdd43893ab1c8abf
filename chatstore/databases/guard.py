"""Locks on the store's files that foreign code in this process cannot drop (Linux).

SQLite's locks belong to the process, and go when the process closes any descriptor of the file, also one that a
backup or a `Path.read_bytes()` opened (https://www.sqlite.org/howtocorrupt.html, section 2.2). Another process that
closes the store then takes itself for the last one, and removes the log that this one goes on writing; or one that
opens it takes itself for the first, and empties the index of the log. An open file description's lock belongs to the
descriptor alone (fcntl_locking(2)): it keeps others from either for as long as it is held.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from chatstore.errors import StoreBusy

if sys.platform == "linux":
    import fcntl

Bytes: TypeAlias = tuple[int, int]
"""The first, and how many."""

OPEN: Bytes = 0x40000002, 510
"""Of the database: each process that has it open holds a shared lock here. All three are told in SQLite's os_unix.c."""
INDEXED: Bytes = 128, 1
"""Of the index: each process that uses it holds a shared lock here."""
READING: Bytes = 124, 4
"""Of the index: a reader that needs the log, and not the database alone, holds a lock here."""

_PAUSE = 0.002

_held: set[LockGuard] = set()
_left_open: list[int] = []
"""Descriptors that could not be closed yet: somebody else in this process has the same file open."""
_lock = threading.Lock()


class Copied(NamedTuple):
    """How many frames of a log were copied into the database, with how many that was begun, and which log it is: words
    of the index that SQLite's wal.c calls `nBackfill`, `nBackfillAttempted` and `aSalt`. The first two differ while the
    log is copied, and from then on where that failed or its process died; a log that is begun anew has another salt."""

    done: bytes
    begun: bytes
    log: bytes


class LockGuard:
    """A shared lock, held until all connections are closed."""

    def __init__(self, path: Path, place: Bytes, *, patience: float) -> None:
        """Waits while another process has the place for itself; raises StoreBusy after `patience` seconds."""
        self._place = place
        self._descriptor = os.open(path, os.O_RDWR) if sys.platform == "linux" else None
        with _lock:
            _held.add(self)
        try:
            self._take(path, time.monotonic() + patience)
        except BaseException:  # also where the file system has no such locks, and a signal's
            self.close()
            raise

    def _take(self, path: Path, deadline: float) -> None:
        while not self._set(locked=True):
            if time.monotonic() > deadline:
                raise StoreBusy(f"another process has {path} for itself; try again when it is done")
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Lets the last connection to close be the last of all, which then empties the log and removes it."""
        self._set(locked=False)

    def close(self) -> None:
        """Gives the descriptor back. After all connections are closed."""
        with _lock:
            _held.discard(self)
            if self._descriptor is not None:
                _left_open.append(self._descriptor)
                self._descriptor = None
            for descriptor in [*_left_open]:
                if not _is_open_elsewhere(descriptor):
                    _left_open.remove(descriptor)
                    os.close(descriptor)

    def held_by_others(self, place: Bytes) -> bool:
        """Whether any connection, of this process or another, holds a lock there. False where it cannot be told."""
        if self._descriptor is None or sys.platform != "linux":
            return False
        # Asked as one who wants to write, for only then shared locks are in the way, and are told.
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, place))
        return bool(struct.unpack_from("h", answer)[0] != fcntl.F_UNLCK)

    def copied(self) -> Copied | None:
        """Of the index: how much of which log was copied into the database. None where it cannot be told."""
        if self._descriptor is None or not hasattr(os, "pread"):
            return None
        words = os.pread(self._descriptor, 132, 0)
        return Copied(words[96:100], words[128:132], words[32:40])

    def _set(self, *, locked: bool) -> bool:
        """Whether it could be done: somebody may hold a lock that excludes it."""
        if self._descriptor is None or sys.platform != "linux":
            return True
        request = _request(fcntl.F_RDLCK if locked else fcntl.F_UNLCK, self._place)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            return False
        return True

    def drop(self) -> None:
        """In a forked child: closes the descriptor it inherited. The lock stays with the parent's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _request(type: int, place: Bytes) -> bytes:
    """A `struct flock`, whose last field has to be 0."""
    first, size = place
    return struct.pack("hhqqi0q", type, os.SEEK_SET, first, size, 0)


def _is_open_elsewhere(descriptor: int) -> bool:
    """Whether closing it would drop the locks of somebody else's descriptor for the same file in this process."""
    ours = os.fstat(descriptor)
    for other in _descriptors():
        with suppress(OSError):  # the listing's own is closed already
            if other not in _left_open and os.path.samestat(os.fstat(other), ours):
                return True
    return False


def _descriptors() -> list[int]:
    try:
        return [int(entry.name) for entry in os.scandir("/proc/self/fd")]
    except OSError:
        return []


def _drop_inherited() -> None:
    global _lock
    _lock = threading.Lock()
    for guard in _held:
        guard.drop()
    for descriptor in _left_open:
        os.close(descriptor)
    _held.clear()
    _left_open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_inherited)
