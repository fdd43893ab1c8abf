"""A local server in a model provider's place, for the examples: it answers each request with the next stream it was
given, a little at a time. It needs no key and no network."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def provider(*streams: list[dict[str, Any]], pause: float = 0.01) -> Iterator[str]:
    """The address of such a server."""
    waiting = deque(streams)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            with suppress(OSError):  # of a client that has gone
                for frame in waiting.popleft():
                    name = f"event: {frame['type']}\n" if "type" in frame else ""
                    self.wfile.write(f"{name}data: {json.dumps(frame)}\n\n".encode())
                    time.sleep(pause)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
