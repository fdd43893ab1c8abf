"""The clients of the benchmark `serving`: a thousand streams in one process, and the appends that they are told of.

They read no more of an event than when it was sent and its number: the process is to see what a server does, and has
a core of the same machine.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from benchmarks.children import Line

OTHERS = 200
"""Appends a second to other contexts."""
AT_ONCE = 50
"""Clients that connect at the same time."""
LATE = 20.0
"""Seconds in which the last change has come."""
_SENT = re.compile(rb'"text": ?"(\d+) (\d+)"')


class Client(asyncio.Protocol):
    """One stream: it notes how long each change was on its way, and that none is missing."""

    def __init__(self, request: bytes, load: Load) -> None:
        self._request = request
        self._load = load
        self._rest = b""
        self.begun = asyncio.get_running_loop().create_future()
        self.last = -1
        self.missed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self.begun.done():
            assert data.startswith(b"HTTP/1.1 200"), data
            self.begun.set_result(None)
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n\n") + 2
        self._rest = data[end:] if end > 1 else data
        if end > 1:
            for number, sent in _SENT.findall(data[:end]):
                self._note(int(number), now - int(sent))

    def _note(self, number: int, nanoseconds: int) -> None:
        self.missed += number != self.last + 1
        self.last = number
        self._load.seconds.append(nanoseconds / 1e9)
        self._load.arrived()


class Writer(asyncio.Protocol):
    """One connection that appends, one request at a time."""

    def __init__(self) -> None:
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if b"HTTP/1.1 " in data:
            assert b"HTTP/1.1 201" in data, data
        if data.endswith(b"}") and self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    async def append(self, head: bytes, context: str, text: str) -> None:
        """Stores a message; returns when that is answered."""
        body = f'{{"role":"user","text":"{text}"}}'.encode()
        line = f"POST /contexts/{context}/messages HTTP/1.1\r\n".encode()
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(line + head + length + body)  # type: ignore[attr-defined]
        await self._answered


class Load:
    """The clients of one server."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n".encode()
        self._clients: list[Client] = []
        self._number = 0
        self._expected = 0
        self._all = asyncio.Event()
        self.seconds: list[float] = []

    async def connect(self, count: int) -> None:
        """Opens so many streams."""
        request = b"GET /contexts/live/events HTTP/1.1\r\n" + self._head + b"\r\n"
        loop = asyncio.get_running_loop()
        for begin in range(0, count, AT_ONCE):
            opening = [
                loop.create_connection(lambda: Client(request, self), "127.0.0.1", self._port)
                for _ in range(min(AT_ONCE, count - begin))
            ]
            opened = [client for _, client in await asyncio.gather(*opening)]
            await asyncio.gather(*(client.begun for client in opened))
            self._clients += opened

    def arrived(self) -> None:
        """A client has a change."""
        self._expected -= 1
        if not self._expected:
            self._all.set()

    async def changes(self, count: int, every: float) -> dict[str, Any]:
        """Appends changes at a pace, and others meanwhile; what came of it."""
        self.seconds = []
        self._expected = count * len(self._clients)
        self._all.clear()
        missed = sum(client.missed for client in self._clients)
        stop = asyncio.Event()
        begun = time.monotonic()
        others = [asyncio.create_task(self._append_others(stop, number)) for number in range(4)]
        await self._append_live(count, every)
        stop.set()
        lasted = time.monotonic() - begun
        appended = sum(await asyncio.gather(*others)) / lasted
        try:
            await asyncio.wait_for(self._all.wait(), LATE)
        except TimeoutError:
            missed -= self._expected
        missed = sum(client.missed for client in self._clients) - missed
        return {"seconds": self.seconds[:: max(1, len(self.seconds) // 20_000)], "missed": missed, "appended": appended}

    async def _append_live(self, count: int, every: float) -> None:
        writer = await self._writer()
        due = time.monotonic()
        for _ in range(count):
            due += every
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await writer.append(self._head, "live", f"{self._number} {time.monotonic_ns()}")
            self._number += 1

    async def _append_others(self, stop: asyncio.Event, number: int) -> int:
        """A quarter of the appends to other contexts."""
        writer = await self._writer()
        done, due = 0, time.monotonic()
        while not stop.is_set():
            due += 4 / OTHERS
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await writer.append(self._head, f"other-{number}-{done % 10}", "what somebody says meanwhile")
            done += 1
        return done

    async def _writer(self) -> Writer:
        _, writer = await asyncio.get_running_loop().create_connection(Writer, "127.0.0.1", self._port)
        return writer


def follow(line: Line, port: str, token: str) -> None:
    """Does what it is asked to, until nothing more is."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_follow(line, int(port), token))


async def _follow(line: Line, port: int, token: str) -> None:
    load = Load(port, token)
    while True:
        asked = await asyncio.to_thread(line.receive)
        if "connect" in asked:
            await load.connect(asked["connect"])
            line.send("connected")
        else:
            line.send(await load.changes(asked["changes"], asked["every"]))
