"""A beat beside what a process is watched for: where it comes late, the machine gave the process no time.

It is a thread that needs neither the store nor its locks, so a store that is late by itself does not hold it up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

BEAT = 0.02
"""Seconds between two beats."""
LATE = 0.02
"""Seconds by which a beat has to be late to be told of: as long as other threads may keep the interpreter."""

Gap = tuple[int, int]
"""Nanoseconds between which a process had no time, as `time.monotonic_ns` counts them."""


def beat(tell: Callable[[Gap], None], stop: threading.Event) -> None:
    """Tells of every gap, until it is stopped."""
    due = time.monotonic_ns()
    while not stop.wait(BEAT):
        due, now = due + int(BEAT * 1e9), time.monotonic_ns()
        if now - due > LATE * 1e9:
            tell((due, now))
        due = now


@contextmanager
def beating(tell: Callable[[Gap], None]) -> Iterator[None]:
    """Beats on a thread of its own."""
    stop = threading.Event()
    heart = threading.Thread(target=beat, args=(tell, stop))
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()


def without(gaps: Iterable[Gap], begun: int, ended: int) -> int:
    """The nanoseconds between two moments, without those in which there was no time. Gaps do not overlap."""
    return max(ended - begun, 0) - sum(max(min(ended, until) - max(begun, since), 0) for since, until in gaps)
