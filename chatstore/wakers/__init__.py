"""Wakers: how a process learns that another one may have committed.

A wake-up is a hint and carries nothing. `choose` gives the best one that passes a test in the store's own
directory: some file systems accept a watch and then stay silent.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chatstore.errors import InvalidInput, StorageError

_log = logging.getLogger(__name__)

LOOKS_EVERY = 0.4
"""Seconds between two looks at the database, whatever the wake-ups do. A commit that one look just misses is seen by
the next, and so within a second."""


Moved = Callable[..., bool]
"""Looks at the database, and takes what is new: whether there was a commit since the last look. It is given the marks
of the contexts that were written to (see `cursor.context_mark`) where they are known, or else nothing."""


class Waker(Protocol):
    """One per process and store, used by one thread; `nudge` may come from any."""

    name: str

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns true once it looked and there was a commit; false after a nudge, or after `timeout` seconds."""

    def nudge(self) -> None:
        """Ends the wait, or the next one."""

    def close(self) -> None:
        """Gives back what it holds. After the last wait."""


def choose(wake: str, wal: Path) -> Waker:
    """The waker of that name for a store with this write-ahead log; for `auto` the first that works here."""
    if wake == "auto":
        for name in ("inotify", "watchfiles"):
            if waker := _try(name, wal):
                return waker
        _log.warning("no file events in %s; looking for changes by polling", wal.parent)
        wake = "poll"
    if wake not in WAKERS:
        raise InvalidInput(f"unknown waker {wake!r}; it is one of auto, {', '.join(WAKERS)}")
    try:
        return WAKERS[wake](wal)
    except OSError as error:
        raise StorageError(
            f"wake={wake!r} does not work in {wal.parent} ({error.strerror or error}); see to that, where it is a limit"
            " (of open files, or fs.inotify.max_user_instances), or open the store with wake='auto', which takes what"
            " works"
        ) from error


def _try(name: str, wal: Path) -> Waker | None:
    try:
        waker = WAKERS[name](wal)
    except OSError as error:
        _log.debug("no %s here: %s", name, error)
        return None
    return waker


def _inotify(wal: Path) -> Waker:
    if not sys.platform.startswith("linux"):
        raise OSError("inotify is Linux's")
    from chatstore.wakers.inotify import InotifyWaker

    return InotifyWaker(wal)


def _watchfiles(wal: Path) -> Waker:
    from chatstore.wakers.files import FilesWaker

    return FilesWaker(wal)


def _poll(wal: Path) -> Waker:
    from chatstore.wakers.poll import PollWaker

    return PollWaker()


def _none(wal: Path) -> Waker:
    from chatstore.wakers.poll import SilentWaker

    return SilentWaker()


WAKERS: dict[str, Callable[[Path], Waker]] = {
    "inotify": _inotify,
    "watchfiles": _watchfiles,
    "poll": _poll,
    "none": _none,
}
"""`none` hears nothing of other processes and leaves it to the hub's own looks, twice a second."""
