"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from chatstore import BlockAdded, BlockClosed, BlockUpdated, Change

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Delivered:
    """What was sent to streams. Counted by the event loop alone: a Counter's lock costs more than a small event."""

    def __init__(self) -> None:
        self.changes: int = 0
        self.bytes = 0
        self._late = [0] * (len(_SECONDS) + 1)
        self._lag = 0.0

    def tell(self, change: Change) -> None:
        """A change was sent."""
        self.changes += 1
        if isinstance(change, BlockAdded | BlockUpdated | BlockClosed):
            lag = max(0.0, time.time() - change.block.updated_at.timestamp())
            self._late[bisect_left(_SECONDS, lag)] += 1
            self._lag += lag

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        counts = zip([*map(str, _SECONDS), "+Inf"], accumulate(self._late), strict=True)
        told = "From a block's last change to its delivery."
        yield HistogramMetricFamily("chatstore_lag_seconds", told, buckets=[*counts], sum_value=self._lag)
        yield CounterMetricFamily("chatstore_changes_delivered", "Changes sent to streams.", self.changes)
        yield CounterMetricFamily("chatstore_bytes_delivered", "Bytes sent to streams.", self.bytes)


class Metrics:
    """The counts of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self.streams: Gauge = Gauge("chatstore_streams", "Streams that are open.", registry=own)
        self.delivered: Delivered = Delivered()
        own.register(self.delivered)
        self.commits: Histogram = Histogram(
            "chatstore_commit_seconds", "Time that a write took.", buckets=_SECONDS, registry=own
        )
        self.requests: Counter = Counter(
            "chatstore_requests", "Requests answered, by status.", ["status"], registry=own
        )

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)
