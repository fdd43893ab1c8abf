"""Requests that wait: counted, and ended by whatever ends a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import Request

from chatstore.server.access import Access
from chatstore.server.feeds import Subscribed
from chatstore.server.problems import Problem
from chatstore.server.service import Service


class _Poll:
    def __init__(self, subscription: Subscribed) -> None:
        self.stop = subscription.stop


@asynccontextmanager
async def polling(service: Service, access: Access, request: Request, subscription: Subscribed) -> AsyncIterator[None]:
    """While the changes of a subscription are waited for: until the client is gone, its token is over or the server
    ends."""
    poll = _Poll(subscription)
    service.streams.join(poll, access.subject)
    gone = asyncio.get_running_loop().create_task(_stop_when_gone(request, subscription))
    expires = None
    if access.expires_at is not None:
        expires = asyncio.get_running_loop().call_later(access.expires_at - time.time(), subscription.stop)
    try:
        async with subscription:
            yield
    finally:
        gone.cancel()
        if expires is not None:
            expires.cancel()
        service.streams.leave(poll)


async def _stop_when_gone(request: Request, subscription: Subscribed) -> None:
    with suppress(Problem):  # of a body, which nobody asked for
        while (await request.receive())["type"] != "http.disconnect":
            pass
    subscription.stop()
