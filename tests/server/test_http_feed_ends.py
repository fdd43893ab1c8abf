"""How feeds over HTTP end: servers that stop, clients that go away, limits, and wrong places to begin at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest
from http_support import DEADLINE, Served, append, events, eventually, poll, problem
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from chatstore.server import ServerLimits
from chatstore.server.serving import GRACE

Serve = Callable[..., Served]


@pytest.fixture
def streaming(served: Served) -> Iterator[list[Iterator[Any]]]:
    """One stream of each kind, open and with its first change read."""
    client = served.client()
    append(client, "c", "one")
    with (
        events(client, "/contexts/c/events") as sent,
        client.stream("GET", "/events", headers={"Accept": "application/x-ndjson"}) as lined,
        closing(served.socket("/contexts/c/events")) as socket,
    ):
        found: list[Iterator[Any]] = [sent, lined.iter_lines(), received(socket)]
        for stream in found:
            next(stream)
        yield found


def received(socket: ClientConnection) -> Iterator[str]:
    """What comes until the server ends it: normally, or because it is to start anew."""
    with suppress(ConnectionClosed):
        yield from map(str, socket)
    assert socket.protocol.close_code in (1000, 1012)


def test_a_server_that_stops_ends_its_streams_cleanly_and_quickly(
    served: Served, streaming: list[Iterator[Any]]
) -> None:
    begun = time.monotonic()
    served.stop()
    assert [[*stream] for stream in streaming] == [[], [], []]  # a cut connection would raise
    assert time.monotonic() - begun < GRACE


def test_a_server_that_stops_answers_its_long_polls(served: Served, client: httpx.Client) -> None:
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: found.append(poll(client, wait=60)))
    waiting.start()
    eventually(lambda: len(served.service.streams) == 1, "the poll does not wait")
    begun = time.monotonic()
    served.stop()
    waiting.join(DEADLINE)
    assert found[0]["changes"] == []
    assert time.monotonic() - begun < GRACE


def test_a_client_that_reads_nothing_does_not_hold_up_a_server_that_stops(served: Served, client: httpx.Client) -> None:
    append(client, "c", *["x" * 1_000_000] * 12)
    with client.stream("GET", "/contexts/c/events") as response:
        next(response.iter_raw(100))
        begun = time.monotonic()
        served.stop()
        assert time.monotonic() - begun < GRACE


def test_a_long_poll_whose_client_is_gone_ends(served: Served) -> None:
    impatient = httpx.Client(base_url=served.url, headers=served.client().headers, timeout=0.5)
    with impatient, pytest.raises(httpx.ReadTimeout):
        impatient.get("/contexts/c/events", params={"wait": 60})
    eventually(lambda: len(served.service.streams) == 0, "the poll goes on")


def test_a_client_that_goes_away_leaves_nothing(served: Served, client: httpx.Client) -> None:
    append(client, "c", "one")
    for _ in range(5):
        with events(client, "/contexts/c/events") as stream:
            next(stream)
    eventually(lambda: len(served.service.streams) == 0, "streams are left")


def test_one_token_has_only_so_many_streams_and_polls(serve: Serve) -> None:
    served = serve(limits=ServerLimits(streams=2))
    client = served.client(served.token(subject="one"))
    append(client, "c", "x")
    with events(client, "/contexts/c/events") as first, events(client, "/contexts/c/events") as second:
        next(first), next(second)
        problem(client.get("/contexts/c/events"), 429, "too_many_streams")
        problem(client.get("/contexts/c/events", params={"wait": 1, "after": "now"}), 429, "too_many_streams")
        other = served.client(served.token(subject="other"))
        assert poll(other, wait=0.01, after="now")["changes"] == []


@pytest.mark.slow
@pytest.mark.parametrize("cursor", ["-1", "9" * 400, "now\n", "é".encode(), "0", " ", "null"])
def test_a_cursor_that_is_none_is_refused_before_the_stream_begins(client: httpx.Client, cursor: Any) -> None:
    append(client, "c", "x")
    if cursor not in ("now\n", " "):  # what no header can say
        answer = client.get("/contexts/c/events", headers={"Last-Event-ID": cursor})
        problem(answer, 422, "invalid_cursor")
    problem(client.get("/contexts/c/events", params={"after": cursor}), 422, "invalid_cursor")
    problem(client.get("/contexts/c/events", params={"after": cursor, "wait": 1}), 422, "invalid_cursor")
    problem(client.get("/events", params={"after": cursor}), 422, "invalid_cursor")


def test_a_cursor_of_another_context_is_refused(client: httpx.Client) -> None:
    [block] = append(client, "a", "x")
    append(client, "b", "y")
    answer = client.get("/contexts/b/events", headers={"Last-Event-ID": block["cursor"]})
    problem(answer, 422, "invalid_cursor")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/stream/ctx/c?offset=0-0&live=sse",
        "/v1/stream/ctx/c?offset=0-0&live=long-poll",
        "/v1/stream/ctx/c?offset=0-0",
        "/agui/c",
    ],
)
def test_a_wrong_place_is_refused_in_every_protocol(client: httpx.Client, target: str) -> None:
    append(client, "c", "x")
    problem(client.get(target, headers={"Last-Event-ID": "0-0"}), 422, "invalid_cursor")


def test_a_long_poll_of_a_durable_stream_ends_with_its_client_and_the_server(served: Served) -> None:
    impatient = httpx.Client(base_url=served.url, headers=served.client().headers, timeout=0.5)
    params = {"offset": "now", "live": "long-poll"}
    with impatient, pytest.raises(httpx.ReadTimeout):
        impatient.get("/v1/stream/ctx/c", params=params)
    eventually(lambda: len(served.service.streams) == 0, "the poll goes on")
    answers: list[int] = []
    client = served.client()
    waiting = threading.Thread(target=lambda: answers.append(client.get("/v1/stream/ctx/c", params=params).status_code))
    waiting.start()
    eventually(lambda: len(served.service.streams) == 1, "the poll does not wait")
    begun = time.monotonic()
    served.stop()
    waiting.join(DEADLINE)
    assert answers == [204]
    assert time.monotonic() - begun < GRACE
