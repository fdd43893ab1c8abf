"""Connections to a NATS server: made within a deadline, proved by a round trip, and closed whatever happens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from chatstore.wakers.nats.url import NatsUrl

CONNECT_SECONDS: Final = 2
PROOF_SECONDS: Final = 2.0
"""How long a message to ourselves may take before NATS is taken not to work."""
CLOSE_SECONDS: Final = 1.0
_NEVER: Final = 1_000_000  # its own pings: ours see to it (see Link)

Hears = Callable[[Msg], Awaitable[None]]


class NotHeard(Error):
    """NATS does not work here."""


class NatsClient(Client):
    """One that knows whether it speaks TLS."""

    encrypted: bool = False

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """Asked for as TLS begins, and only then."""
        self.encrypted = True
        return super().ssl_context


@asynccontextmanager
async def connected(
    url: NatsUrl, said: Callable[[Exception], Awaitable[None]], closed: Callable[[], Awaitable[None]]
) -> AsyncIterator[NatsClient]:
    """A connection that does not try to come back. `said`: is told of errors; `closed`: that it is gone."""
    client = NatsClient()
    try:
        async with asyncio.timeout(CONNECT_SECONDS * (1 + len(url.servers))):
            await client.connect(
                [*url.servers],
                name="chatstore",
                error_cb=said,
                closed_cb=closed,
                # The link makes another and proves it: of one that came back by itself nobody would know what was not
                # heard meanwhile.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=_NEVER,
                **_credentials(url, client),
            )
        _check_encrypted(url, client)
        yield client
    finally:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.close()


def _check_encrypted(url: NatsUrl, client: NatsClient) -> None:
    if url.secured and not client.encrypted:
        raise NotHeard("the server does not speak TLS")


def _credentials(url: NatsUrl, client: NatsClient) -> dict[str, Any]:
    """Who we are, asked for once TLS has begun where it has to: nats-py would say it to a server without, too."""

    def told(secret: str) -> Callable[[], str]:
        def tell() -> str:
            _check_encrypted(url, client)
            return secret

        return tell

    if url.user is None:
        return {}
    if url.password is None:
        return {"token": told(url.user)}
    return {"user": told(url.user), "password": told(url.password)}


async def subscribe(client: NatsClient, subject: str, own: str, hear: Hears) -> None:
    """Subscribes, and proves it by a message to ourselves, which has to arrive behind that. Its subject is our own:
    as many as there are, nobody else is woken when all come back at once."""
    arrived = asyncio.Event()

    async def prove(_: Msg) -> None:
        arrived.set()

    await client.subscribe(subject, cb=hear)
    proof = await client.subscribe(f"{subject}.{own}", cb=prove)
    await client.publish(f"{subject}.{own}")
    try:
        async with asyncio.timeout(PROOF_SECONDS):
            await arrived.wait()
    except TimeoutError:
        raise NotHeard(f"a message did not arrive within {PROOF_SECONDS:g} s") from None
    await proof.unsubscribe()
