"""The body of a request: what it is, how large it may be and how long it may take."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from chatstore.server.problems import Problem
from chatstore.server.service import ServerLimits


def must_be_json(headers: Headers) -> None:
    """Refuses any other body. A form of another site can be sent without asking, and none is JSON."""
    brings = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    kind = headers.get("content-type", "" if brings else "application/json")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unsupported_media_type", "a body is JSON: Content-Type: application/json")


def too_large(most: int) -> Problem:
    """The refusal of a body that is."""
    return Problem(413, "limit_exceeded", f"a request has at most {most:,} bytes", limit="body_bytes", value=most)


class Limited:
    """A request's body, as large as it may be and as long as it may take."""

    def __init__(self, receive: Receive, limits: ServerLimits) -> None:
        self._receive = receive
        self._most = self._left = limits.body_bytes
        self._until = asyncio.get_running_loop().time() + limits.body_seconds
        self._complete = False

    async def __call__(self) -> Message:
        """What comes next."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, "too_slow", "the body of the request did not come in time") from None
        self._left -= len(message.get("body", b""))
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        if self._left < 0:
            raise too_large(self._most)
        return message
