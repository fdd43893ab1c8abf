"""Which leases have run out, by what this process itself has seen. No clock of its own, and no I/O.

A lease is judged by how often it was renewed and never by a time that its holder wrote: clocks jump and differ.
Only time in which this process was looking counts, so a machine that slept has seen nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatstore.operations.leases import Lease

LONGEST_GAP = 2.0
"""Seconds between two looks that count at most."""


class Watch:
    """What one process has seen of the leases of others."""

    def __init__(self, machine: str, is_gone: Callable[[int, int], bool]) -> None:
        self._machine = machine
        self._is_gone = is_gone
        self._seen: dict[int, tuple[int, float]] = {}
        self._last_look: float | None = None

    def expired(self, leases: Iterable[Lease], now: float) -> list[Lease]:
        """The leases whose holders are dead: gone from this machine, or silent for longer than they said."""
        gap = 0.0 if self._last_look is None else min(now - self._last_look, LONGEST_GAP)
        self._last_look = now
        seen, self._seen = self._seen, {}
        dead = []
        for lease in leases:
            beats, silent = seen.get(lease.id, (lease.beats, 0.0))
            # Any other count is a sign of life, a lower one, too: a restore or a server's crash may take beats back.
            silent = silent + gap if beats == lease.beats and lease.id in seen else 0.0
            self._seen[lease.id] = (lease.beats, silent)
            here = lease.machine == self._machine
            if (here and self._is_gone(lease.pid, lease.started)) or silent > lease.seconds:
                dead.append(lease)
        return dead
