"""Many clients that read nothing, and what is large: the memory that they take is bounded, for each and for all."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from http_support import DEADLINE, Served, ServerProcess, append, events, eventually
from websockets.exceptions import ConnectionClosed

from chatstore import ChatStore
from chatstore.server import ServerLimits

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
SIZE = 8 * MEGABYTE
"""Of a text that no buffer of a system takes as a whole."""


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """Connects clients that ask for a path, and read no more than the first bytes of the answer."""
    with ExitStack() as stack:

        def connect(port: int, token: str, path: str, *lines: str) -> socket.socket:
            connection = stack.enter_context(closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(DEADLINE)
            connection.connect(("127.0.0.1", port))
            head = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *lines]
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            assert connection.recv(16)
            return connection

        yield connect


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def received(connection: socket.socket) -> int:
    """How many bytes come until the end."""
    total = 0
    with suppress(ConnectionError):
        while data := connection.recv(65_536):
            total += len(data)
    return total


SOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "x" * 22 + "==",
)


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(("lines", "when"), [((), "before"), ((), "after"), (SOCKET, "before")])
def test_fifty_clients_that_read_nothing_of_twenty_megabytes_take_few_of_them(
    start: Callable[..., ServerProcess],
    connect: Callable[..., socket.socket],
    path: Path,
    lines: tuple[str, ...],
    when: str,
) -> None:
    server = start()
    with server.client() as client, ChatStore(path) as other:
        history = other.history("c")
        history.append_user_message("begin")
        before = most = resident(server.pid)
        if when == "after":
            write(history)
        for _ in range(50):
            connect(server.port, server.token, "/contexts/c/events", *lines)
        if when == "before":
            write(history)
        longest, until = 0.0, time.monotonic() + 3
        while time.monotonic() < until:
            begun = time.monotonic()
            assert client.get("/contexts/c/head").status_code == 200
            longest = max(longest, time.monotonic() - begun)
            most = max(most, resident(server.pid))
    grown = (most - before) / MEGABYTE
    print(f"figure: 50 stalled {'sockets' if lines else 'streams'}, 20 MB {when}: {grown:.0f} MB, {longest:.2f} s")
    assert grown < 150
    assert longest < 5


def write(history: object) -> None:
    for _ in range(20):
        history.append_user_message("y" * 1_000_000)  # type: ignore[attr-defined]


def test_where_too_much_waits_the_client_that_has_read_nothing_for_longest_is_cut_off(
    serve: Callable[..., Served], connect: Callable[..., socket.socket]
) -> None:
    served = serve(limits=ServerLimits(unsent_bytes=20 * MEGABYTE))
    client = served.client()
    stalled = []
    for place in range(8):
        append(client, f"c{place}", f"{place}" * SIZE)
        stalled.append(connect(served.port, served.token(), f"/contexts/c{place}/events"))
        eventually(lambda: served.service.unsent.bytes > 0, "nothing waits")
        assert served.service.unsent.bytes <= 20 * MEGABYTE
    eventually(lambda: len(served.service.streams) <= 2, "those that do not read are kept")
    assert received(stalled[0]) < SIZE
    with events(client, "/contexts/c0/events") as again:
        assert json.loads(next(again).data)["block"]["text"] == "0" * SIZE
    for connection in stalled:
        connection.close()
    eventually(lambda: served.service.unsent.bytes == 0, "what waited for clients that are gone is kept")


def test_a_long_text_comes_whole_by_every_way(served: Served, client: httpx.Client) -> None:
    text = "täxt 😀 " * 100_000
    append(client, "c", text)
    socket = served.socket("/contexts/c/events", max_size=None)
    assert json.loads(socket.recv(DEADLINE))["block"]["text"] == text
    with events(client, "/contexts/c/events") as stream:
        assert json.loads(next(stream).data)["block"]["text"] == text
    with client.stream("GET", "/contexts/c/events", headers={"Accept": "application/x-ndjson"}) as lines:
        assert json.loads(next(lines.iter_lines()))["block"]["text"] == text
    page = client.get("/contexts/c/events", params={"wait": 0}).json()
    assert page["changes"][0]["block"]["text"] == text
    socket.close()
    with pytest.raises(ConnectionClosed):
        socket.recv(DEADLINE)


@pytest.mark.parametrize("target", ["/contexts/c/events?wait=0", "/v1/stream/ctx/c?offset=-1"])
def test_a_page_of_changes_is_ended_by_what_it_weighs(client: httpx.Client, target: str) -> None:
    for place in range(10):
        append(client, "c", f"{place}" * MEGABYTE)
    first = client.get(target)
    assert len(first.content) < 6 * MEGABYTE
    if target.startswith("/contexts"):
        found = first.json()
        assert (len(found["changes"]), found["more"]) == (4, True)
        rest = client.get(f"{target}&after={found['cursor']}&limit=2").json()
        assert [change["block"]["text"][0] for change in rest["changes"]] == ["4", "5"]
    else:
        assert "stream-up-to-date" not in first.headers
