"""A local server that speaks as model providers do: it answers each request with the next stream it was given."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import frames

DEADLINE = 15.0
HOLD = "hold"
"""In a stream: nothing comes until `go_on` is set, or the client has gone."""


class Provider(ThreadingHTTPServer):
    """The server. `bodies`: what was asked; `gone`: a client closed its connection while a stream was held."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.streams: deque[list[Any]] = deque()
        self.bodies: list[Any] = []
        self.go_on = threading.Event()
        self.gone = threading.Event()
        self.held = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(json.loads(body))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for frame in self.server.streams.popleft():
                if frame == HOLD:
                    self._hold()
                else:
                    self.wfile.write(sse(frame))
        except OSError:
            self.server.gone.set()
        self.close_connection = True

    def _hold(self) -> None:
        self.server.held.set()
        self.connection.settimeout(0.02)
        for _ in range(round(DEADLINE / 0.02)):
            if self.server.go_on.is_set():
                return
            try:
                if not self.connection.recv(1):
                    self.server.gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.server.gone.set()
                return

    def log_message(self, format: str, *args: Any) -> None:
        pass


def sse(frame: Any) -> bytes:
    if isinstance(frame, str):
        return f"data: {frame}\n\n".encode()
    name = f"event: {frame['type']}\n" if "type" in frame else ""
    return f"{name}data: {json.dumps(frame)}\n\n".encode()


def body(stream: list[Any]) -> bytes:
    """A whole stream, as one answer."""
    return b"".join(map(sse, stream))


@contextmanager
def serving() -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join(DEADLINE)


CHAT = [*frames.CHAT, frames.DONE]
