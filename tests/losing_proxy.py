"""A proxy before a server that loses answers: what a network does, at a chosen moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

DEADLINE = 30.0


class LosingProxy:
    """Forwards connections. `lose(n)`: of the next n answers no byte comes back, and their connections are cut; of
    `halve(n)`, half of what came first. `instead(…)`: the next answers are these. `drip()`: answers come a byte at a
    time, behind their heads. `hush()`: nothing comes through any more on the connections that there are, and nobody
    is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._to_lose = self._to_halve = 0
        self._instead: list[bytes] = []
        self._pause = 0.0
        self._over = threading.Event()
        self.lost = 0
        self._hushed: set[socket.socket] = set()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._over.set()
        self.cut()
        for thread in self._threads:
            thread.join(DEADLINE)

    def lose(self, answers: int) -> None:
        """Loses the next so many."""
        with self._lock:
            self._to_lose = answers

    def halve(self, answers: int) -> None:
        """Cuts the next so many in two."""
        with self._lock:
            self._to_halve = answers

    def instead(self, *answers: bytes) -> None:
        """Gives others than the server does."""
        with self._lock:
            self._instead += answers

    def forget(self) -> None:
        """Lets all come as it is from now on."""
        with self._lock:
            self._to_lose = self._to_halve = 0
            self._instead.clear()

    def drip(self, pause: float) -> None:
        """Lets so many seconds pass before each byte of an answer."""
        self._pause = pause

    def hush(self) -> None:
        """Lets nothing through on the connections of now."""
        with self._lock:
            self._hushed.update(self._sockets)

    def cut(self) -> None:
        """Cuts every connection."""
        for one in [*self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            for pair in ((client, server, False), (server, client, True)):
                self._threads.append(threading.Thread(target=self._forward, args=pair))
                self._threads[-1].start()

    def _forward(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if source in self._hushed:
                    continue
                if answers:
                    if (changed := self._changed(data)) is not None:
                        target.sendall(changed)
                        break
                    while self._pause and len(data) > 1 and not self._over.wait(self._pause):
                        first = data.find(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/") else 1
                        target.sendall(data[:first])
                        data = data[first:]
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if answers:
            target.close()
            source.close()

    def _changed(self, data: bytes) -> bytes | None:
        """What comes in place of an answer, whose connection is cut then; None if it comes as it is."""
        with self._lock:
            if self._to_lose > 0:
                self._to_lose -= 1
                self.lost += 1
                return b""
            if self._to_halve > 0:
                self._to_halve -= 1
                return data[: len(data) // 2]
            return self._instead.pop(0) if self._instead else None
