"""inotify (Linux): SQLite writes its log with pwrite, and every such write is an event.

The event comes a moment before the commit can be read (in about one of ten), so it is confirmed by the database's
version, looked at for a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import tempfile
import time
from pathlib import Path

from chatstore.live.wakers import Moved

_MODIFY, _GONE = 0x2, 0x4 | 0x400 | 0x800  # IN_MODIFY; IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF
_CONFIRM_FOR, _FIRST_PAUSE = 0.006, 0.0002
_SELF_TEST_SECONDS = 0.2


class InotifyWaker:
    """Watches the store's write-ahead log. Raises OSError where that cannot be done, or events do not come."""

    name = "inotify"

    def __init__(self, wal: Path) -> None:
        self._wal = wal
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._events = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._events < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._nudges = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        for source in (self._events, self._nudges):
            self._poll.register(source, select.POLLIN)
        try:
            self._self_test()
            self._watch(wal, _MODIFY | _GONE)
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float, moved: Moved) -> None:
        """Returns after a commit, a nudge or the time."""
        ready = {source for source, _ in self._poll.poll(timeout * 1000)}
        if self._nudges in ready:
            os.eventfd_read(self._nudges)
        if self._events in ready:
            self._drain()
            _confirm(moved)

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        os.eventfd_write(self._nudges, 1)

    def close(self) -> None:
        """Closes its descriptors."""
        for source in (self._events, self._nudges):
            os.close(source)

    def _watch(self, path: Path, events: int) -> None:
        if self._libc.inotify_add_watch(self._events, os.fsencode(path), events) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))

    def _drain(self) -> None:
        data = os.read(self._events, 1 << 16)
        masks = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in _mask_offsets(data))
        if any(mask & _GONE for mask in masks) and self._wal.exists():
            self._watch(self._wal, _MODIFY | _GONE)

    def _self_test(self) -> None:
        with tempfile.NamedTemporaryFile(prefix=f".{self._wal.name[:100]}-", dir=self._wal.parent) as probe:
            self._watch(Path(probe.name), _MODIFY)
            probe.write(b"x")
            probe.flush()
            if not self._poll.poll(_SELF_TEST_SECONDS * 1000):
                raise OSError(f"the file system of {self._wal.parent} sends no events")
            self._drain()
        while self._poll.poll(0):
            os.read(self._events, 1 << 16)


def _mask_offsets(data: bytes) -> list[int]:
    """Where the masks lie in a sequence of `struct inotify_event` (inotify(7)): 16 bytes and a name each."""
    offsets, at = [], 0
    while at + 16 <= len(data):
        offsets.append(at + 4)
        at += 16 + int.from_bytes(data[at + 12 : at + 16], sys.byteorder)
    return offsets


def _confirm(moved: Moved) -> None:
    deadline, pause = time.monotonic() + _CONFIRM_FOR, _FIRST_PAUSE
    while not moved() and time.monotonic() < deadline:
        time.sleep(pause)
        pause *= 2
