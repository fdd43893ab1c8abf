"""watchfiles: file events wherever there is no inotify, and for files that come and go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from watchfiles import Change, watch

from chatstore.wakers import Moved

_log = logging.getLogger(__name__)

# It gathers events in steps: the defaults (50 ms, 1.6 s) are made for editors.
_STEP, _DEBOUNCE = 5, 10
_SELF_TEST_SECONDS = 0.5
_CONFIRM_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
"""Seconds between looks for the commit that an event comes before: by the time of a sync to disk, at most."""


class FilesWaker:
    """Watches the store's directory for writes to its log, on a thread of its own. Raises OSError where none come."""

    name = "watchfiles"

    def __init__(self, wal: Path) -> None:
        self._wal = wal
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._tested = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="chatstore-watchfiles", daemon=True)
        self._thread.start()
        if not self._hears_a_write():
            self.close()
            raise OSError(f"the file system of {wal.parent} sends no events")

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns after a commit, a nudge or the time."""
        if not self._woken.wait(timeout):
            return False
        # Before the look: what is committed behind that is an event that stays.
        self._woken.clear()
        for pause in _CONFIRM_PAUSES:
            if moved():
                return True
            if self._woken.wait(pause):
                break
        return False

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        self._woken.set()

    def close(self) -> None:
        """Ends its thread."""
        self._stop.set()
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._watch()
        except (OSError, RuntimeError) as error:  # no watch to be had; the hub's own looks go on
            _log.debug("watching %s ended: %s", self._wal.parent, error)
            self._stop.set()

    def _watch(self) -> None:
        # The directory and not the log, which is made by the first who opens the store and removed by the last who
        # closes it.
        for changes in _changes(self._wal.parent, self._stop):
            names = {Path(path).name for _, path in changes}
            if self._probe_name in names:
                self._tested.set()
            if self._wal.name in names:
                self._woken.set()

    @property
    def _probe_name(self) -> str:
        return f".{self._wal.name[:100]}-probe-{id(self)}"

    def _hears_a_write(self) -> bool:
        probe = self._wal.with_name(self._probe_name)
        deadline = time.monotonic() + _SELF_TEST_SECONDS
        try:
            while not self._tested.wait(0.02) and time.monotonic() < deadline and not self._stop.is_set():
                probe.write_bytes(b"x")  # again and again: the watch begins when its thread gets there
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
        return self._tested.is_set()


def wait_for_file(path: Path, *, until: Callable[[], bool], longest: float = 0.5) -> None:
    """Waits until `until()` holds, looking whenever the directory of `path` changes and every `longest` seconds.

    The directory itself may come later too.
    """
    while not until():
        if path.parent.is_dir():
            for _ in _changes(path.parent, threading.Event(), timeout=longest):
                if until():
                    return
        else:
            time.sleep(longest)


def _changes(directory: Path, stop: threading.Event, timeout: float | None = None) -> Iterator[set[tuple[Change, str]]]:
    return watch(
        directory,
        watch_filter=None,
        step=_STEP,
        debounce=_DEBOUNCE,
        recursive=False,
        stop_event=stop,
        rust_timeout=5000 if timeout is None else int(timeout * 1000),
        yield_on_timeout=timeout is not None,
        raise_interrupt=True,
    )
