"""How long a waker takes: from a commit of somebody else to the moment when it is seen."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chatstore.wakers import LOOKS_EVERY, Moved, choose

_LONGEST_PAUSE: Final = 0.02
_LOST_AFTER: Final = 2.0


def measure(
    wake: str, wal: Path, commit: Callable[[], None], moved: Moved, *, times: int = 20
) -> tuple[str, list[float]]:
    """The waker that is chosen for a log, and the seconds it took for each of so many commits.

    `commit` is called on another thread, at random moments. A commit that is never seen takes all of two seconds.
    """
    waker = choose(wake, wal)
    try:
        return waker.name, sorted(_once(waker.wait, commit, moved) for _ in range(times))
    finally:
        waker.close()


def _once(wait: Callable[[float, Moved], object], commit: Callable[[], None], moved: Moved) -> float:
    committed: list[float] = []
    seen: list[float] = []

    def look() -> bool:
        if moved():
            seen.append(time.monotonic())
        return bool(seen)

    def write() -> None:
        time.sleep(random.uniform(0, _LONGEST_PAUSE))
        commit()
        committed.append(time.monotonic())

    writer = threading.Thread(target=write, name="chatstore-measuring")
    writer.start()
    deadline = time.monotonic() + _LOST_AFTER
    while not look() and time.monotonic() < deadline:
        wait(LOOKS_EVERY, look)
    writer.join()
    return max(seen[0] - committed[0], 0.0) if seen else _LOST_AFTER
