"""The streams that are open: how many a caller has, and how all are ended."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from chatstore.server.metrics import Metrics
from chatstore.server.problems import Problem


class Stoppable(Protocol):
    """A stream."""

    def stop(self) -> None:
        """Ends it."""


class Streams:
    """Counts and ends the streams of one service."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._open: dict[Stoppable, str] = {}
        self._by_subject: Counter[str] = Counter()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def check(self, subject: str) -> None:
        """Refuses one more stream of a caller that has as many as it may."""
        if self._closed:
            raise Problem(503, "closing", "the server is ending; connect again in a moment", retryable=True)
        if self._by_subject[subject] >= self._most:
            raise Problem(
                429,
                "too_many_streams",
                f"at most {self._most:,} streams of one token are open at a time",
                retryable=True,
            )

    def join(self, stream: Stoppable, subject: str) -> None:
        """Counts one more stream, or refuses it: at once, for others come in at the same time."""
        self.check(subject)
        self._open[stream] = subject
        self._by_subject[subject] += 1
        self._metrics.streams.inc()

    def leave(self, stream: Stoppable) -> None:
        """It has ended."""
        subject = self._open.pop(stream, None)
        if subject is None:
            return
        self._metrics.streams.dec()
        self._by_subject[subject] -= 1
        if not self._by_subject[subject]:
            del self._by_subject[subject]

    def close(self) -> None:
        """Ends them all, and takes no more."""
        self._closed = True
        for stream in [*self._open]:
            stream.stop()
