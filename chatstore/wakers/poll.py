"""Wakers without file events: looking at the database's version at intervals, or not at all."""

from __future__ import annotations

import threading
import time

from chatstore.wakers import Moved

SHORTEST, LONGEST = 0.001, 0.05
"""Seconds between looks: right after a commit, and once it has been quiet for some time."""
_QUIET_SHARE = 0.05


class SilentWaker:
    """Wakes for nudges only."""

    name = "none"

    def __init__(self) -> None:
        self._nudged = threading.Event()

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns after a nudge or the time."""
        if self._nudged.wait(timeout):
            self._nudged.clear()
        return False

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        self._nudged.set()

    def close(self) -> None:
        """Nothing to give back."""


class PollWaker(SilentWaker):
    """Looks often after a commit and ever less often while it is quiet: the pause is a share of the quiet time."""

    name = "poll"

    def __init__(self, shortest: float = SHORTEST, longest: float = LONGEST) -> None:
        super().__init__()
        self._shortest, self._longest = shortest, longest
        self._last_commit = time.monotonic()

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns after a commit, a nudge or the time."""
        deadline = time.monotonic() + timeout
        while (now := time.monotonic()) < deadline:
            # A look takes about 4 µs. Every millisecond that is 2.7 % of a core, which is spent only while others
            # commit.
            pause = min(max((now - self._last_commit) * _QUIET_SHARE, self._shortest), self._longest)
            if self._nudged.wait(min(pause, deadline - now)):
                self._nudged.clear()
                return False
            if moved():
                self._last_commit = time.monotonic()
                return True
        return False
