"""What the stores of one process share for one file: the database, the committer, the hub.

Opening the same file twice, or once for threads and once for an event loop, gives two faces of one core: writes of
the whole process still go through one committer, and commits are handed over to all its subscriptions.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import lru_cache, partial

from chatstore import checks
from chatstore.cursor import CursorFactory
from chatstore.databases import Location, locate, open_database
from chatstore.errors import ForkedStore, InvalidInput
from chatstore.forking import Owner
from chatstore.live import wakers
from chatstore.live.hub import Hub
from chatstore.writing.committer import Committer


@dataclass(frozen=True, slots=True)
class Options:
    """How a store is opened; see ChatStore."""

    create: bool = True
    busy_timeout: float = 30.0
    wake: str = "auto"


class Core:
    """One open store of one process; `acquire` and `release` count its faces."""

    def __init__(self, location: Location, options: Options) -> None:
        if options.wake not in ("auto", *wakers.WAKERS):
            raise InvalidInput(f"unknown waker {options.wake!r}; it is one of auto, {', '.join(wakers.WAKERS)}")
        checks.seconds(options.busy_timeout, "busy_timeout")
        self.options = options
        self.database = open_database(location, create=options.create, busy_timeout=options.busy_timeout)
        self.path = self.database.path
        self.cursors = lru_cache(maxsize=4096)(partial(CursorFactory, self.database.identity))
        wal = self.database.wal
        self.hub = Hub(self.database, self.cursors, partial(wakers.choose, options.wake, wal))
        self.committer = Committer(self.database, self.cursors, self.hub.announce)
        self.faces = 0
        self._owner = Owner()

    @property
    def forked(self) -> bool:
        """Whether this process inherited the core and did not open it."""
        return self._owner.forked

    def check(self) -> None:
        """Refuses a store that came here through a fork."""
        self._owner.check()

    def close(self) -> None:
        """Ends subscriptions, commits what waits, closes the file."""
        self.hub.close()
        self.committer.close()
        self.database.close()


_cores: dict[str, Core] = {}
_inherited: list[dict[str, Core]] = []
_lock = threading.Lock()


def acquire(location: Location, options: Options) -> Core:
    """The core of this store in this process, opened if it is not."""
    path = str(locate(location))
    with _lock:
        if any(path in cores for cores in _inherited):
            raise ForkedStore(
                f"{path} was open when this process was forked, and SQLite would take the locks of the parent for its"
                " own here; close the store before the fork, or start the process by spawn"
            )
        core = _cores.get(path)
        if core is not None and not core.database.is_in_place():
            core = None  # its file was removed or replaced; whoever has it open is told so
        if core is None:
            core = _cores[path] = Core(location, options)
        _check_same(core.options, options, path)
        core.faces += 1
        return core


def _check_same(opened: Options, asked: Options, path: str) -> None:
    for name in ("wake", "busy_timeout"):
        if (given := getattr(asked, name)) != (held := getattr(opened, name)):
            raise InvalidInput(
                f"{path} is open in this process with {name}={held!r}, and now asked for with {given!r};"
                " close the other store, or share it"
            )


def release(core: Core) -> None:
    """Gives a core back; the last one to do so closes it."""
    if core.forked:
        return  # the parent's to close
    with _lock:
        core.faces -= 1
        if core.faces:
            return
        if _cores.get(str(core.path)) is core:
            del _cores[str(core.path)]
        core.close()


def _forget_inherited() -> None:
    """In a forked child: forgets every core without closing any, for that would meddle with the parent's files."""
    global _cores, _lock
    _inherited.append(_cores)
    _cores, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
