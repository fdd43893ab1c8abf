"""The connection of a store for an event loop to its server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeVar

import httpx

from chatstore.remote import answers
from chatstore.remote.address import Address
from chatstore.remote.answers import Sending
from chatstore.remote.calls import Call
from chatstore.remote.link import HURRY, Waiting, options

T = TypeVar("T")


class AsyncLink(Waiting):
    """As Link, on one event loop."""

    def __init__(self, address: Address, headers: dict[str, str], patience: float) -> None:
        super().__init__(patience)
        self.address = address
        self.client: httpx.AsyncClient = httpx.AsyncClient(**options(address, headers))
        self._closing = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0

    async def send(self, call: Call[T]) -> T:
        """As `Link.send`."""
        for before in call.first:
            await self.send(before)
        if self._closing.is_set():
            raise answers.closed(self.address)
        self._busy += 1
        self._idle.clear()
        try:
            return await self._send(call, Sending(call, self.attempts(), self.address))
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _send(self, call: Call[T], sending: Sending[T]) -> T:
        while True:
            timeout = self.timeout(call)
            try:
                # For the whole answer: httpx counts anew with each piece that comes.
                async with asyncio.timeout(timeout.read):
                    response = await self.client.request(
                        call.method, call.path, content=call.body, headers=call.headers, timeout=timeout
                    )
            except (*answers.BROKEN, TimeoutError) as error:
                pause: float | None = sending.failed(error)
            except RuntimeError as error:
                if not self._closing.is_set():
                    raise
                raise answers.closed(self.address) from error
            else:
                found, pause = sending.answered(response.status_code, response.headers, response.content)
            if pause is None:
                return found  # type: ignore[return-value]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)
                raise answers.closed(self.address)

    async def close(self) -> None:
        """As `Link.close`."""
        self._closing.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), HURRY)
        await self.client.aclose()
