"""A server that streams what it is given, as Substrate does, and a client of the real package for it."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a pydantic that it was written before
    from substrate import ComputeText, Substrate

Pause = Callable[[int], None]


def sse(messages: list[dict[str, Any]]) -> list[bytes]:
    """Messages as events."""
    return [f"event: message\ndata: {json.dumps(message)}\n\n".encode() for message in messages]


@contextmanager
def serving(pieces: list[bytes], *, before: Pause = lambda _: None) -> Iterator[Substrate]:
    """A client of a server that sends these; `before` is called with the number of each."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for number, piece in enumerate(pieces):
                before(number)
                try:
                    self.wfile.write(piece)
                except OSError:  # the client has gone
                    return

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Substrate(api_key="none", base_url=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join(10)


def node() -> ComputeText:
    """Something to ask for; the server answers what it wants to."""
    return ComputeText(prompt="tell me about windmills")
