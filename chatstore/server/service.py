"""What the endpoints of one store share: the store, the limits, and what is open on behalf of callers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from chatstore import AsyncChatStore, AsyncHistory
from chatstore.errors import StoreFull
from chatstore.server.desk import Desk
from chatstore.server.encoded import Encoded
from chatstore.server.metrics import Metrics
from chatstore.server.once import Once
from chatstore.server.pulse import Pulse
from chatstore.server.rates import Rates
from chatstore.server.space import Space
from chatstore.server.streams import Streams
from chatstore.server.unsent import Unsent

Agent: TypeAlias = Callable[[AsyncHistory, str], Awaitable[object]]
"""Answers a prompt by what it writes into the history; what `AsyncChatStore.submit` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The most that a caller may ask of a server."""

    body_bytes: int = 16 * 1024 * 1024
    """Bytes of one request."""
    body_seconds: float = 120.0
    """Seconds in which all of it has come."""
    batch: int = 10_000
    """Blocks that one request appends, where the store does not take fewer."""
    page: int = 1_000
    """Blocks or contexts in one answer."""
    wait: float = 60.0
    """Seconds that a long poll waits."""
    streams: int = 1_000
    """Streams that one token has open at a time."""
    unsent_bytes: int = 128 * 1024 * 1024
    """Bytes that are kept for clients which read slowly, all together. Who has read nothing for longest is cut off, and
    comes back at its cursor."""
    rate: int = 2_000
    """Requests a second of one token, over ten seconds."""
    heartbeat: float = 15.0
    """Seconds between two signs of life of a stream in which nothing happens."""
    lease: float = 30.0
    """Seconds for which a remote writer may be silent before what it has open is ended as interrupted."""


class Service:
    """A store as it is served."""

    def __init__(
        self, store: AsyncChatStore, limits: ServerLimits | None = None, *, agent: Agent | None = None
    ) -> None:
        limits = limits or ServerLimits()
        self.store = store
        self.agent = agent
        self.limits = limits
        self.rates: Rates = Rates(limits.rate)
        self.metrics: Metrics = Metrics()
        self.streams: Streams = Streams(limits.streams, self.metrics)
        self.pulse: Pulse = Pulse(limits.heartbeat)
        self.desk: Desk = Desk(limits.lease)
        self.encoded: Encoded = Encoded()
        self.unsent: Unsent = Unsent(limits.unsent_bytes)
        self.once: Once = Once()
        self.space: Space = Space()

    @property
    def most_drafts(self) -> int:
        """How many blocks one request appends at most."""
        return min(self.limits.batch, self.store.limits.batch)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """While something is written: counts how long that takes, and knows whether there is space for more."""
        begun = time.perf_counter()
        try:
            yield
        except StoreFull as error:
            self.space.tell(error)
            raise
        self.space.tell(None)
        self.metrics.commits.observe(time.perf_counter() - begun)

    async def close(self) -> None:
        """Ends every stream, and interrupts what is open on behalf of callers."""
        self.streams.close()
        self.pulse.close()
        await self.desk.close()
