"""Clients that are slow, lie about what they send, or go away at the wrong moment: attack 117."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_support import DEADLINE, Served, ServerProcess, append, events, eventually

from chatstore.server import ServerLimits
from chatstore.server.serving import Connection

pytestmark = pytest.mark.slow

Serve = Callable[..., Served]
MEGABYTE = 1 << 20


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), DEADLINE)


def head(served: Served, method: str, target: str, *lines: str) -> bytes:
    """A request as it is sent, to the end of its head."""
    own = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{served.port}", f"Authorization: Bearer {served.token()}"]
    return "\r\n".join([*own, *lines, "", ""]).encode()


def is_ended(connection: socket.socket) -> bool:
    """Whether the server closes it, within the time of a test."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    return True


def status(connection: socket.socket) -> int:
    return int(connection.recv(65_536).split()[1])


def test_a_body_shorter_than_it_says_is_waited_for_only_so_long(serve: Serve) -> None:
    served = serve(limits=ServerLimits(body_seconds=0.3))
    kind = "Content-Type: application/json"
    with closing(connected(served.port)) as connection:
        connection.sendall(head(served, "POST", "/contexts/c/messages", kind, "Content-Length: 100") + b'{"text": "x"}')
        assert status(connection) == 408
    assert served.client().get("/contexts").json()["contexts"] == []


def test_what_follows_a_body_longer_than_it_says_is_no_part_of_it(served: Served, client: httpx.Client) -> None:
    kind = "Content-Type: application/json"
    with closing(connected(served.port)) as connection:
        body = b'{"text": "x"}, "role": "system"}'
        connection.sendall(head(served, "POST", "/contexts/c/messages", kind, "Content-Length: 13") + body)
        assert status(connection) in (201, 400)
    stored = client.get("/contexts/c/messages").json()["messages"]
    assert [(block["text"], block["role"]) for block in stored] in ([], [("x", None)])


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: -1",),
        ("Content-Length: 1e3",),
        ("Content-Length: 13", "Content-Length: 14"),
        ("Content-Length: 13", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: x",),
        ("Content-Length: " + "9" * 100,),
    ],
)
def test_a_length_that_makes_no_sense_is_refused(served: Served, client: httpx.Client, lines: tuple[str, ...]) -> None:
    kind = "Content-Type: application/json"
    with closing(connected(served.port)) as connection:
        connection.sendall(head(served, "POST", "/contexts/c/messages", kind, *lines) + b'{"text": "x"}')
        assert 400 <= status(connection) < 500
    assert client.get("/contexts").json()["contexts"] == []


def test_a_client_that_is_gone_in_the_middle_of_its_body_has_stored_nothing(
    served: Served, client: httpx.Client
) -> None:
    kind = "Content-Type: application/json"
    with closing(connected(served.port)) as connection:
        connection.sendall(head(served, "POST", "/contexts/c/messages", kind, "Content-Length: 100") + b'{"text": "x"')
    assert client.get("/contexts").json()["contexts"] == []


def test_heads_that_never_end_cost_nobody_elses_time_and_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "HEAD_SECONDS", 1.0)
    served = serve()
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connected(served.port))) for _ in range(200)]
        for place, connection in enumerate(slow):
            connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: " if place % 2 else b"")
        begun = time.monotonic()
        append(served.client(), "c", "in time")
        assert time.monotonic() - begun < 5
        assert all(is_ended(connection) for connection in slow)


def test_a_head_that_grows_for_ever_is_cut_off(served: Served) -> None:
    with closing(connected(served.port)) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for place in range(100_000):
            connection.sendall(f"X-{place}: {'x' * 1_000}\r\n".encode())


def test_a_body_that_nobody_asked_for_does_not_keep_a_stream(served: Served, client: httpx.Client) -> None:
    append(client, "c", "x")
    with closing(connected(served.port)) as connection:
        connection.sendall(head(served, "GET", "/contexts/c/events", "Transfer-Encoding: chunked"))
        assert status(connection) == 200
        try:
            while len(served.service.streams):
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        except ConnectionError:
            pass
    eventually(lambda: len(served.service.streams) == 0, "the stream is kept")


@pytest.mark.parametrize("target", ["/contexts/c/events", "/contexts/c/events?wait=60&after=now", "/agui/c", "/events"])
def test_a_client_that_resets_its_connection_at_once_leaves_no_stream(
    served: Served, client: httpx.Client, target: str
) -> None:
    append(client, "c", "x")
    client.post("/contexts/c/runs", json={})
    for _ in range(50):
        with closing(connected(served.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(head(served, "GET", target))
    eventually(lambda: len(served.service.streams) == 0, "streams of clients that are gone are kept")
    assert client.get("/contexts/c/head").status_code == 200


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.timed
def test_a_client_that_reads_nothing_costs_bounded_memory_and_nobody_elses_time(
    start: Callable[..., ServerProcess],
) -> None:
    server = start()
    with server.client() as client, ExitStack() as stack:
        append(client, "c", "begin")
        stalled = [stack.enter_context(closing(connected(server.port))) for _ in range(10)]
        for connection in stalled:
            request = (
                f"GET /contexts/c/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n"
            )
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request.encode())
            assert connection.recv(16)
        reading = stack.enter_context(events(client, "/contexts/c/events"))
        warm(client, reading)
        before = resident(server.pid)
        longest = 0.0
        for _ in range(120):
            begun = time.monotonic()
            append(client, "c", "x" * (MEGABYTE // 2))
            while "xxx" not in next(reading).data:
                pass
            longest = max(longest, time.monotonic() - begun)
        grown = resident(server.pid) - before
    print(f"figure: 60 MB past 10 stalled clients: {grown / MEGABYTE:.1f} MB more, {longest * 1000:.0f} ms at most")
    assert grown < 60 * MEGABYTE
    assert longest < 5


def warm(client: httpx.Client, reading: Iterator[Any]) -> None:
    for _ in range(5):
        append(client, "c", "x" * (MEGABYTE // 2))
        while "xxx" not in next(reading).data:
            pass


def test_a_slow_reader_gets_everything_in_the_end(served: Served, client: httpx.Client) -> None:
    texts = [f"{place} " + "x" * 100_000 for place in range(100)]
    writing = threading.Thread(target=lambda: append(client, "c", *texts))
    with client.stream("GET", "/contexts/c/events", timeout=DEADLINE) as response:
        writing.start()
        seen = b""
        for piece in response.iter_raw():
            seen += piece
            if seen.count(b"event: block_added") == 100 and seen.endswith(b"\n\n"):
                break
    writing.join()
    places = [int(part.split(b" ", 1)[0]) for part in seen.split(b'"text":"')[1:]]
    assert places == [*range(100)]
