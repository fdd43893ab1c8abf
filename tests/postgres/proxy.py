"""A proxy before the server that loses what it was told to lose: what a network does, at a chosen moment."""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import make_url

_SO_ATTACH_FILTER = 26
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # a filter of one instruction: keep nothing of any packet


class Proxy:
    """Forwards connections to the server. At the next COMMIT it does what `at_commit` says: "before" or "after" the
    server has committed it cuts the connection, or it goes on in silence ("silence"). At the next LISTEN it swallows
    everything if it is told to by `deaf`."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        host = parsed.query.get("host") or parsed.host or "localhost"
        port = parsed.port or 5432
        self._target: Any = f"{host}/.s.PGSQL.{port}" if str(host).startswith("/") else (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = parsed.set(host="127.0.0.1", port=self._listener.getsockname()[1], query={}).render_as_string(
            hide_password=False
        )
        self.at_commit: str | None = None
        self.deaf = False
        self.lost = threading.Event()
        self.alone = False
        """Whether nobody is let in after that any more."""
        self._closed = False
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def swallow(self) -> int:
        """From now on nothing comes through on the connections that there are, and nobody is told; how many."""
        code = ctypes.create_string_buffer(_DROP_ALL)
        program = struct.pack("HL", 1, ctypes.addressof(code))
        clients = [client for client in self._clients if client.fileno() >= 0]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        return len(clients)

    def refuse(self) -> None:
        """Cuts the connections that there are, and lets nobody in until it is told to `admit`."""
        self.alone = True
        self.lost.set()
        self._cut()

    def admit(self) -> None:
        """Lets everybody in again."""
        self.alone = False

    def _cut(self) -> None:
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.alone and self.lost.is_set():
                client.close()
                continue
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
        with client, socket.socket(family) as server, contextlib.suppress(OSError):
            server.connect(self._target)
            while self._forward(client, server):
                pass

    def _forward(self, client: socket.socket, server: socket.socket) -> bool:
        ready = select.select([client, server], [], [])[0]
        if client in ready:
            said = client.recv(65_536)
            if b"COMMIT\0" in said and self.at_commit is not None:
                return self._lose(said, client, server)
            if b"LISTEN " in said and self.deaf:
                self.deaf = False
                self.swallow()
                self.lost.set()
                return True
            server.sendall(said)
            if not said:
                return False
        if server in ready:
            answered = server.recv(65_536)
            client.sendall(answered)
            return bool(answered)
        return True

    def _lose(self, said: bytes, client: socket.socket, server: socket.socket) -> bool:
        how, self.at_commit = self.at_commit, None
        if how != "before":
            server.sendall(said)
            answered = b""
            while b"COMMIT\0" not in answered:  # the rest of what asks for it may still come
                if client in select.select([client, server], [], [])[0]:
                    server.sendall(client.recv(65_536))
                else:
                    answered += server.recv(65_536)
        if how == "silence":
            self.swallow()
            self.lost.set()
            client.recv(1)  # until the client gives up, if it can tell us
        self.lost.set()
        return False


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before the server of a URL."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
