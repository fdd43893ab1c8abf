"""Which leases have run out, by what this process itself has seen. No clock of its own, and no I/O.

A lease is judged by how often it was renewed and never by a time that its holder wrote: clocks jump and differ.
Only time in which this process was looking counts, so a machine that slept has seen nothing. Of a long silence that
counts alone in which the holder could have renewed, and nobody kept all from writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from chatstore.operations.leases import Lease

LONGEST_GAP = 2.0
"""Seconds between two looks that count at most."""


class Watch:
    """What one process has seen of the leases of others."""

    def __init__(self, machine: str, is_gone: Callable[[int, int], bool]) -> None:
        self._machine = machine
        self._is_gone = is_gone
        self._seen: dict[int, tuple[int, float, bool]] = {}
        self._last_look: float | None = None

    def expired(self, leases: Iterable[Lease], now: float, can_write: Callable[[], bool]) -> list[Lease]:
        """The leases whose holders are dead: gone from this machine, or silent for longer than they said.

        `can_write`: whether anybody could, about now. It is asked where a lease has been silent for half its time: the
        other half is then more than a holder needs who had to wait, and nothing is asked while all renew.
        """
        can_write = cache(can_write)
        gap = 0.0 if self._last_look is None else min(now - self._last_look, LONGEST_GAP)
        self._last_look = now
        seen, self._seen = self._seen, {}
        dead = []
        for lease in leases:
            beats, before, kept = seen.get(lease.id, (lease.beats, 0.0, True))
            # Any other count is a sign of life, a lower one, too: a restore or a server's crash may take beats back.
            silent = before + gap if beats == lease.beats else 0.0
            here = lease.machine == self._machine
            keeps = silent > lease.seconds / 2 and not can_write()
            if keeps or kept:  # also what ended a moment ago: the holder has had no time yet
                silent = min(silent, before)
            self._seen[lease.id] = (lease.beats, silent, keeps)
            if (here and self._is_gone(lease.pid, lease.started)) or silent > lease.seconds:
                dead.append(lease)
        return dead
