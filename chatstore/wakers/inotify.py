"""inotify (Linux): SQLite writes its log with pwrite, and every such write is an event.

The event comes before the commit can be read, by some microseconds or by the time that a sync to disk takes, and no
other follows. So it is confirmed by the database's version: looked at without a pause at first, for a sleep costs
more than most commits still need, then at pauses that grow with the time since.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import tempfile
import time
from pathlib import Path

from chatstore.wakers import Moved

# IN_ATTRIB, for IN_DELETE_SELF does not come while the log is open here: of an unlink there is only the new count of
# links (inotify(7)).
_MODIFY, _GONE = 0x2, 0x4 | 0x400 | 0x800  # IN_MODIFY; IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF
_SPIN, _PAUSES = 0.00015, 0.25
"""Seconds without a pause after an event; after them a pause is this share of the time since."""
_GIVE_UP = 0.2
"""Seconds after an event that are looked at: longer than a sync takes."""
_AFTERWARDS = (0.004, 0.010)
"""The same behind a commit that was seen, whose last events may have been the first of the next one: a few looks, a
millisecond apart."""
_SELF_TEST_SECONDS = 0.2


class InotifyWaker:
    """Watches the store's write-ahead log. Raises OSError where that cannot be done, or events do not come."""

    name = "inotify"

    def __init__(self, wal: Path) -> None:
        self._wal = wal
        self._libc = ctypes.CDLL(None, use_errno=True)
        # Python has no inotify of its own. Its flags are those of open(2), by inotify_init1(2).
        self._events = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._events < 0:
            raise _failed("inotify_init1")
        try:
            self._nudges = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            os.close(self._events)
            raise
        self._event = self._give_up = 0.0  # when the last event came, and for how long it is looked at
        self._poll = select.poll()
        for source in (self._events, self._nudges):
            self._poll.register(source, select.POLLIN)
        try:
            self._self_test()
            self._watch(wal, _MODIFY | _GONE)
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns after a commit, a nudge or the time."""
        deadline = time.monotonic() + timeout
        while (now := time.monotonic()) < deadline:
            since = now - self._event
            looking = since < self._give_up
            ready = self._ready(min(since * _PAUSES, deadline - now) if looking else deadline - now)
            if self._nudges in ready:
                os.eventfd_read(self._nudges)
                return False
            if self._events in ready:
                self._drain()
                self._event, self._give_up = time.monotonic(), _GIVE_UP
            if (looking or self._events in ready) and self._confirm(moved):
                return True
        return False

    def _ready(self, pause: float) -> set[int]:
        if 0 < pause < 0.001:  # poll counts in milliseconds
            time.sleep(pause)
            pause = 0
        return {source for source, _ in self._poll.poll(pause * 1000)}

    def _confirm(self, moved: Moved) -> bool:
        while not moved():
            if time.monotonic() - self._event > _SPIN:
                return False
        since, self._give_up = _AFTERWARDS
        self._event = time.monotonic() - since
        if self._events in self._ready(0):
            self._drain()
        return True

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        os.eventfd_write(self._nudges, 1)

    def close(self) -> None:
        """Closes its descriptors."""
        for source in (self._events, self._nudges):
            os.close(source)

    def _watch(self, path: Path, events: int) -> None:
        if self._libc.inotify_add_watch(self._events, os.fsencode(path), events) < 0:
            raise _failed("inotify_add_watch")

    def _drain(self) -> None:
        data = os.read(self._events, 1 << 16)
        masks = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in _mask_offsets(data))
        # A watch is on the file and not on the name: the log that takes its place needs one of its own.
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
        # The end of the probe is an event, too (IN_IGNORED), and none of the log.
        while self._poll.poll(0):
            os.read(self._events, 1 << 16)


def _failed(call: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{call}: {os.strerror(code)}")


def _mask_offsets(data: bytes) -> list[int]:
    """Where the masks lie in a sequence of `struct inotify_event` (inotify(7)): 16 bytes and a name each."""
    offsets, at = [], 0
    while at + 16 <= len(data):
        offsets.append(at + 4)
        at += 16 + int.from_bytes(data[at + 12 : at + 16], sys.byteorder)
    return offsets
