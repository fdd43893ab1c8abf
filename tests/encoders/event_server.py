"""A store over HTTP, as small as it can be: what the encoders give, with the right headers, for the real clients."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chatstore import ChatStore, RunEnded
from chatstore.encoders import AguiEncoder, AiSdkEncoder, OpenAIChunkEncoder, context_message, place_of, ui_messages
from chatstore.encoders import ai_sdk as ai_sdk_forms
from chatstore.encoders import durable_streams as streams
from chatstore.encoders.durable_streams import run_message

END = 30.0
"""Seconds without a change after which a stream ends."""


class Served(ThreadingHTTPServer):
    """A server of one store. `cuts` are numbers of events after which the next connections are cut off."""

    daemon_threads = True

    def __init__(self, store: ChatStore) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = store
        self.cuts: list[int] = []
        self._asked = threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def wait_for(self, connections: int) -> None:
        """Returns when so many streams have been given something."""
        for _ in range(connections):
            assert self._asked.acquire(timeout=60)

    def gave(self) -> None:
        """A stream has been given something."""
        self._asked.release()


class Handler(BaseHTTPRequestHandler):
    """The paths of the real server, as far as encoders have some."""

    server: Served

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        match url.path.strip("/").split("/"):
            case ["agui", context]:
                self._events(self._agui(context))
            case ["api", "chat", context]:
                self._json(ui_messages(self.server.store.history(context).get_messages()))
            case ["api", "chat", context, "stream"]:
                self._ai_sdk(context)
            case ["v1", "stream", "ctx", context]:
                self._durable(context, None)
            case ["v1", "stream", "run", context, run]:
                self._durable(context, run)
            case ["contexts", context, "runs", run, "chunks"]:
                self._events(self._chunks(context, run))
            case _:
                self.send_error(404)

    def _agui(self, context: str) -> Iterator[tuple[str, Any]]:
        history = self.server.store.history(context)
        last = self.headers["last-event-id"]
        run = self.asked.get("runId")
        encoder = AguiEncoder(context)
        after = None
        if last is not None and not place_of(last).joins:
            after = encoder.resume(last, history.get_messages())
        elif run is None and "replay" not in self.asked:
            after = history.head()
            runs, blocks = history.runs(), history.get_messages()
            yield from encoder.join(blocks, runs, after)
        followed = self.asked.get("follow", run)
        if followed is None or encoder.running == followed or after is None:
            timeout = END if followed else None
            for change in history.subscribe(after=after, run=run, follow=followed is not None, timeout=timeout):
                yield from encoder.encode(change)
                if followed is not None and type(change) is RunEnded and encoder.running != followed:
                    break
        yield from encoder.end()

    def _ai_sdk(self, context: str) -> None:
        history = self.server.store.history(context)
        active = [run for run in history.runs() if run.state == "running" or "run" in self.asked]
        if not active:
            self.send_response(204)
            self.end_headers()
            return
        run = self.asked.get("run", active[-1].id)
        encoder = AiSdkEncoder(run)
        changes = history.subscribe(run=run, timeout=END)
        chunks = (("", chunk) for change in changes for chunk in encoder.encode(change))
        self._events(chunks, ai_sdk_forms.HEADERS, done=True)

    def _chunks(self, context: str, run: str) -> Iterator[tuple[str, Any]]:
        encoder = OpenAIChunkEncoder(run)
        for change in self.server.store.history(context).subscribe(run=run, timeout=END):
            yield from (("", chunk) for chunk in encoder.encode(change))

    def _durable(self, context: str, run: str | None) -> None:
        history = self.server.store.history(context)
        offset = self.asked.get("offset")
        following = self.asked.get("live") == "sse"
        changes = history.subscribe(after=streams.after_of(offset), run=run, follow=following, timeout=END)
        encode = context_message if run is None else run_message
        if following:
            self._events(self._data_and_control(changes, encode))
            return
        read = [*changes]
        messages = [message for change in read if (message := encode(change)) is not None]
        end = read[-1].cursor if read else offset or streams.START
        over = run is not None and history.get_run(run).state != "running"
        closed = {"Stream-Closed": "true"} if over else {}
        self._json(messages, {"Stream-Next-Offset": end, "Stream-Up-To-Date": "true", **closed})

    def _data_and_control(self, changes: Iterable[Any], encode: Any) -> Iterator[tuple[str, Any]]:
        for change in changes:
            message = encode(change)
            if message is not None:
                yield "event: data", [message]
                closed = type(change) is RunEnded
                yield "event: control", streams.control(change.cursor, now=time.time(), up_to_date=True, closed=closed)

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        for name, content in {
            "content-type": "application/json",
            "cache-control": "no-store",
            **(headers or {}),
        }.items():
            self.send_header(name, content)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.gave()

    def _events(
        self, events: Iterable[tuple[str, Any]], headers: dict[str, str] | None = None, done: bool = True
    ) -> None:
        self.send_response(200)
        for name, value in (headers or {"content-type": "text/event-stream", "cache-control": "no-cache"}).items():
            self.send_header(name, value)
        self.end_headers()
        left = self.server.cuts.pop(0) if self.server.cuts else None
        for number, (id, event) in enumerate(events):
            if left == 0:
                # A reset, and not an end: what a lost connection is.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            line = id if id.startswith("event:") else f"id: {id}" if id else ""
            self.wfile.write(f"{line}\ndata: {json.dumps(event)}\n\n".lstrip("\n").encode())
            self.wfile.flush()
            if number == 0:
                self.server.gave()
            left = None if left is None else left - 1
        if headers is not None and done:
            self.wfile.write(b"data: [DONE]\n\n")

    def finish(self) -> None:
        if not self.connection._closed:
            super().finish()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(store: ChatStore) -> Iterator[Served]:
    """A server of this store, on a port of its own."""
    server = Served(store)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
