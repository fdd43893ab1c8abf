"""A real server for tests: in a thread of the test's own process, or in a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent
from websockets.sync.client import ClientConnection, connect

from chatstore import AsyncChatStore
from chatstore.server import Access, ServerLimits, TokenAuthority, create_app
from chatstore.server.serving import Server, listening

SECRET = "a secret of these tests, and of nothing else"
DEADLINE = 30.0
PLAIN: dict[str, Any] = {"timeout": DEADLINE, "verify": False}
"""Of clients where nothing is encrypted: to load the certificates would take longer than most tests."""
ALL = {"read": True, "write": True, "admin": True}


class Served:
    """A store that is served by a thread. `client()` may do everything; others are made by `token`."""

    def __init__(
        self,
        path: Path,
        *,
        limits: ServerLimits | None = None,
        store_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._make = lambda: AsyncChatStore(path, **(store_options or {}))
        self._options = {"secret": SECRET, "limits": limits, **options}
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._ear = listening("127.0.0.1", 0)
        self._clients = ExitStack()
        self._thread = threading.Thread(target=self._run, name="served")
        self.port: int = self._ear.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._ear.close()
            self._ready.set()

    async def _serve(self) -> None:
        async with self._make() as store:
            self.store = store
            self.app = create_app(store, **self._options)
            self.authority = TokenAuthority(store, SECRET)
            self.service = self.app.state.service
            self.server = Server(self.app)
            self.loop = asyncio.get_running_loop()
            self._ready.set()
            await self.server.serve(sockets=[self._ear])

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        assert self._error is None, self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clients.close()
        self.stop()

    def stop(self) -> None:
        """Stops the server as a signal does, and waits until it has ended."""
        self.server.should_exit = True
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def token(self, context: str | None = None, *, ttl: float = 600.0, subject: str = "tests", **scope: bool) -> str:
        """A token; without a scope, one that may do everything that is possible."""
        given = {"read": False, **scope} if scope else ALL
        return self.authority.make(Access(subject, context, **given, expires_at=time.time() + ttl))

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client that shows a token; by default one that may do everything."""
        headers = {"Authorization": f"Bearer {token or self.token()}", **options.pop("headers", {})}
        return self._clients.enter_context(httpx.Client(base_url=self.url, headers=headers, **PLAIN, **options))

    def stranger(self, **options: Any) -> httpx.Client:
        """A client that shows nothing."""
        return self._clients.enter_context(httpx.Client(base_url=self.url, **PLAIN, **options))

    def socket(self, path: str, token: str | None = None, **options: Any) -> ClientConnection:
        """A WebSocket, open until the test ends at the latest."""
        headers = {"Authorization": f"Bearer {token or self.token()}", **options.pop("headers", {})}
        address = f"ws://127.0.0.1:{self.port}{path}"
        socket = self._clients.enter_context(connect(address, additional_headers=headers, **options))
        assert json.loads(socket.recv(DEADLINE))["change"] == "heartbeat"
        return socket


class ServerProcess:
    """`chatstore serve` in a process of its own."""

    def __init__(self, path: Path, state: Path, *arguments: str, port: int = 0) -> None:
        self.error_log = state.parent / f"{state.name}.stderr"
        with self.error_log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chatstore", "serve", str(path), "--port", str(port), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "XDG_STATE_HOME": str(state), "PYTHONUTF8": "1"},
            )
        assert self._process.stdout is not None
        self.link = self._process.stdout.readline().decode().strip()
        if not self.link:
            self.stop()
            raise AssertionError(self.error_log.read_text())
        found = urlsplit(self.link)
        self.url = f"{found.scheme}://{found.netloc}"
        self.port = found.port
        self.token = parse_qs(found.query)["token"][0]
        self.headers = {"Authorization": f"Bearer {self.token}"}
        self.pid = self._process.pid

    def client(self, **options: Any) -> httpx.Client:
        """A client that shows the token of the link."""
        return httpx.Client(base_url=self.url, headers=self.headers, **PLAIN, **options)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal, and waits for the end."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(DEADLINE)
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()


@contextmanager
def events(client: httpx.Client, url: str, **options: Any) -> Iterator[Iterator[ServerSentEvent]]:
    """Server-sent events, as a client that others wrote parses them; of a feed, those behind the first heartbeat."""
    with client.stream("GET", url, **options) as response:
        response.raise_for_status()
        assert response.status_code == 200, response.status_code
        found = EventSource(response).iter_sse()
        if urlsplit(url).path.endswith("/events"):
            first = next(found)
            assert (first.event, first.data) == ("heartbeat", "")
            assert first.id
        yield found


def append(client: httpx.Client, context: str, *texts: str, role: str = "user") -> list[dict[str, Any]]:
    """Blocks with these texts, as they were stored."""
    drafts = [{"role": role, "text": text} for text in texts]
    answer = client.post(f"/contexts/{context}/messages", json={"drafts": drafts})
    assert answer.status_code == 201, answer.text
    stored: list[dict[str, Any]] = answer.json()["blocks"]
    return stored


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """A refusal, whose shape and status are as they should be."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "code", "detail", "retryable"} <= body.keys()
    assert body["status"] == status
    assert code is None or body["code"] == code, body
    return body


def eventually(condition: Any, what: str) -> None:
    """Waits until something is so that nothing tells of."""
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.005)


def poll(client: httpx.Client, context: str = "c", **params: Any) -> dict[str, Any]:
    """A page of the feed of a context."""
    answer = client.get(f"/contexts/{context}/events", params={"wait": 0, **params})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page
