"""The event loop of a link's thread: nothing of it outlives the thread, whatever a server or a name server does."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any
from weakref import WeakSet


class LinkLoop(asyncio.SelectorEventLoop):
    """Knows its connections, to cut one that does not end by itself, and has no pool of threads to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: WeakSet[asyncio.BaseTransport] = WeakSet()

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        """A connection, which it keeps in mind."""
        transport, protocol = await super().create_connection(*arguments, **options)
        self._connections.add(transport)
        return transport, protocol

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Asked on this thread, which has nothing else to do."""
        return socket.getaddrinfo(host, port, **options)

    def cut(self) -> None:
        """Ends its connections without another word: a TLS server that is gone is waited for half a minute else."""
        for transport in [*self._connections]:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


async def until(event: asyncio.Event, seconds: float) -> None:
    """Waits until it is set, for so long at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
