"""Running an application until a signal comes, and ending its streams before it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chatstore.server.problems import Problem, answer_to
from chatstore.server.stream import ABORT, CLOSE, PUSH
from chatstore.server.unsent import SLICE

GRACE = 10
"""Seconds that requests have to end."""
STALLED = 2.0
"""Seconds that clients have to read what was sent to them before."""


class Connection(HttpToolsProtocol):
    """One whose requests begin in time, with a head of bounded size: the parser itself waits and grows for ever."""

    HEAD_SECONDS = 20.0
    HEAD_BYTES = 128 * 1024
    SOCKET_LINE, SOCKET_LINES = 8_000, 100

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False  # whatever another uvicorn of this process has set up: they share one logger

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(transport)
        self._expect_head()

    def _expect_head(self) -> None:
        self._head_left = self.HEAD_BYTES
        self._late: asyncio.TimerHandle | None = self.loop.call_later(self.HEAD_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._late is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Its head has come."""
        self._in_time()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            own = {
                PUSH: partial(_push, self.cycle),
                ABORT: self.transport.abort,
                CLOSE: self.transport.close,
            }
            self.cycle.scope["extensions"] = own  # type: ignore[typeddict-item]

    def data_received(self, data: bytes) -> None:
        """Some of a request has come."""
        if self._late is not None:
            # Judged before the parser sees it: that keeps what it was given until the head ends.
            if self._head_left < 0:
                self.transport.close()
                return
            self._head_left -= len(data)
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        """It becomes a WebSocket, unless that would wait for ever: so it does behind a head that it cannot read."""
        lines = [self.url, *(name + value for name, value in self.headers)]
        if len(lines) > self.SOCKET_LINES or max(map(len, lines)) > self.SOCKET_LINE:
            self.send_400_response("The head of the request is too large for a WebSocket.")
            return
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is answered, like everything else, by a problem."""
        answer = answer_to(Problem(400, "invalid_request", msg))
        lines = [b"HTTP/1.1 400 Bad Request", b"connection: close", *(b": ".join(pair) for pair in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket that is sent something when its client has read what came before: long texts in slices."""

    async def run_asgi(self) -> None:
        """Serves it."""
        own = {**(self.scope.get("extensions") or {}), ABORT: self.transport.abort}
        self.scope["extensions"] = own  # type: ignore[typeddict-item]
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Sends a message."""
        text = message.get("text") if message["type"] == "websocket.send" else None
        if text is not None and len(text) > SLICE:
            await self._send_slices(text)
        else:
            await super().send(message)
        await self.writable.wait()

    async def _send_slices(self, text: str) -> None:
        for start in range(0, len(text), SLICE):
            await self.writable.wait()
            if self.disconnected or self.close_sent:
                raise ClientDisconnected
            send = self.conn.send_continuation if start else self.conn.send_text
            send(text[start : start + SLICE].encode(), fin=start + SLICE >= len(text))
            self.transport.write(b"".join(self.conn.data_to_send()))


def _push(cycle: RequestResponseCycle, data: bytes) -> bool:
    """Sends a piece of an answer that goes on, unless its client has not read what came before."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_complete or not cycle.chunked_encoding:
        return False
    if not cycle.transport.is_closing():
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
    return True


def _is_told(record: logging.LogRecord) -> bool:
    """uvicorn logs WebSockets with the tokens in their addresses, and those that were refused as errors of its own; to
    debug, it logs all that is said by them."""
    unwanted = ("WebSocket %s", "without completing handshake")
    return record.levelno > logging.DEBUG and not any(part in str(record.msg) for part in unwanted)


class Server(uvicorn.Server):
    """uvicorn, which waits for open connections: so the streams among them are ended first."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws=Socket,
                log_config=None,
                access_log=False,  # it would log tokens in queries; the application keeps a log of its own
                server_header=False,
                timeout_graceful_shutdown=GRACE,
                proxy_headers=False,
                ws_max_size=64 * 1024,
                ws_per_message_deflate=False,
                **options,
            )
        )
        self._service = app.state.service
        logging.getLogger("uvicorn.error").addFilter(_is_told)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal asks for the end, which comes in order: raised again behind it, as uvicorn does, it would break off
        the closing of the store."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends everything."""
        self._service.streams.close()
        stalled = asyncio.get_running_loop().call_later(STALLED, self._drop_stalled)
        try:
            await super().shutdown(sockets)
        finally:
            stalled.cancel()

    def _drop_stalled(self) -> None:
        for connection in [*self.server_state.connections]:
            transport = connection.transport
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Runs a server to its end, on uvloop where that is installed: it sends in half the time."""
    loops = uvicorn.Config("", log_config=None)  # which would set up uvicorn's own logging for the whole process
    with asyncio.Runner(loop_factory=loops.get_loop_factory()) as runner:
        runner.run(serving)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that its port is known. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.create_server((host, port), family=family, backlog=2048)
    found.set_inheritable(True)
    # What it accepts inherits this: without it the end of an answer waits for the client to acknowledge its head.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found
