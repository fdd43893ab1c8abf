"""A subscription on a thread of its own, and what it was given."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, Self

from chatstore import Change


class Watcher:
    """Follows until it is closed; `followed` is a store or a history."""

    def __init__(self, followed: Any, **options: Any) -> None:
        self._subscription = followed.subscribe(**options)
        self._seen: SimpleQueue[tuple[Change, float]] = SimpleQueue()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def next(self, seconds: float = 10) -> tuple[Change, float]:
        """The next change, and when it was given."""
        return self._seen.get(timeout=seconds)

    def text(self, seconds: float = 10) -> str:
        """The text of the next change's block."""
        return str(self.next(seconds)[0].block.text)  # type: ignore[union-attr]

    def nothing(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        try:
            self.next(seconds)
        except Empty:
            return True
        return False

    def close(self) -> None:
        self._subscription.close()
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> None:
        for change in self._subscription:
            self._seen.put((change, time.monotonic()))
