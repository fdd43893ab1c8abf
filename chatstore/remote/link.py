"""The connection of a store for threads to its server."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, TypeVar

import httpx

from chatstore.errors import ChatStoreError
from chatstore.finalizing import answered, finalizes
from chatstore.remote import answers
from chatstore.remote.address import Address
from chatstore.remote.answers import Patience, Sending
from chatstore.remote.calls import Call
from chatstore.writing.pending import Write

T = TypeVar("T")
CONNECT: Final = 5.0
"""Seconds until a server that does not take a connection is taken for away."""
ANSWER: Final = 40.0
"""Seconds until an answer is taken for lost: more than a server waits for a lock."""
LONG_ANSWER: Final = 3_600.0
HURRY, LEAST = 2.0, 0.1
"""Seconds for all that is sent while the store closes, and for an answer even then."""
# No bound on connections: a call would wait for another's long answer, and its own time would run.
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=20)


def options(address: Address, headers: dict[str, str]) -> dict[str, Any]:
    """How clients are made. Certificates are loaded once, and without TLS not at all: nothing here takes longer."""
    verify = httpx.create_ssl_context() if address.is_encrypted else False
    return {"base_url": str(address), "headers": headers, "limits": _LIMITS, "verify": verify}


class Waiting:
    """How long a link waits for what: less and less, once its store closes."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._until: float | None = None

    def hurry(self) -> None:
        """Has all that is done from now on end soon, or give up."""
        self._until = time.monotonic() + HURRY

    def attempts(self) -> Patience:
        """The patience for one thing to do."""
        return Patience(self._within(self._patience, 0.0), time.monotonic, random.random)

    def timeout(self, call: Call[Any]) -> httpx.Timeout:
        """How long one answer may take."""
        answer = self._within(LONG_ANSWER if call.takes_long else ANSWER, LEAST)
        return httpx.Timeout(answer, connect=min(CONNECT, answer))

    def _within(self, seconds: float, least: float) -> float:
        return seconds if self._until is None else min(seconds, max(least, self._until - time.monotonic()))


class Link(Waiting):
    """Sends calls from any thread, again and again while the server is away."""

    def __init__(self, address: Address, headers: dict[str, str], patience: float) -> None:
        super().__init__(patience)
        self.address = address
        self.options: dict[str, Any] = options(address, headers)
        self._client = httpx.Client(**self.options)
        self._closing = threading.Event()
        self._idle = threading.Condition()
        self._busy = 0

    def send(self, call: Call[T]) -> T:
        """What a call gives."""
        if finalizes():  # httpx has locks, too
            return answered(partial(self.send, call))
        for before in call.first:
            self.send(before)
        with self._idle:
            if self._closing.is_set():
                raise answers.closed(self.address)
            self._busy += 1
        try:
            return self._send(call, Sending(call, self.attempts(), self.address))
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _send(self, call: Call[T], sending: Sending[T]) -> T:
        while True:
            try:
                status, headers, body = self._ask(call)
            except answers.BROKEN as error:
                pause: float | None = sending.failed(error)
            # What httpx raises of a client that was closed while the call was on its way.
            except RuntimeError as error:
                if not self._closing.is_set():
                    raise
                raise answers.closed(self.address) from error
            else:
                found, pause = sending.answered(status, headers, body)
            if pause is None:
                return found  # type: ignore[return-value]
            if self._closing.wait(pause):
                raise answers.closed(self.address)

    def _ask(self, call: Call[Any]) -> tuple[int, httpx.Headers, bytes]:
        timeout = self.timeout(call)
        until = time.monotonic() + (timeout.read or 0.0)
        with self._client.stream(
            call.method, call.path, content=call.body, headers=call.headers, timeout=timeout
        ) as response:
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > until:  # httpx knows only how long it waits for the next piece
                    raise httpx.ReadTimeout("the answer comes too slowly")
            return response.status_code, response.headers, bytes(body)

    def run_all(
        self, writes: Iterable[tuple[Write[object], str | None]], *, synced: bool = True
    ) -> list[Exception | None]:
        """As a committer does it: what each of them was refused with."""
        return [self._try(write) for write, _ in writes]

    def _try(self, write: Any) -> Exception | None:
        try:
            write(self)
        except ChatStoreError as error:
            return error
        return None

    def close(self) -> None:
        """Lets what is on its way come back, and ends."""
        self._closing.set()
        with self._idle:
            self._idle.wait_for(lambda: not self._busy, timeout=HURRY)
        self._client.close()
