"""JSON that no store can hold, at every endpoint that takes any: refused or stored, and never an error of the server's
own. And keys that are used again for something else."""

from __future__ import annotations

import socket
from typing import Any
from uuid import uuid4

import httpx
import pytest
from http_support import Served, problem

ODD = {
    "not a number": "NaN",
    "infinite": "1e999",
    "5,000 digits": "1" + "0" * 5_000,
    "half a character": '"\\ud800"',
    "half a character as a name": '{"\\ud800": 1}',
    "nested 100,000 times": "[" * 100_000 + "]" * 100_000,
    "nested 500 times": "[" * 500 + "]" * 500,
    "the same name twice": '{"a": 1, "a": 2}',
    "NUL": '"\\u0000"',
}
BODIES = (
    ("/contexts/c/messages", '{"text": "x", "data": %s}'),
    ("/contexts/c/messages", '{"text": %s}'),
    ("/contexts/c/messages", '{"text": "x", "role": %s}'),
    ("/contexts/c/messages", '{"text": "x", "usage": {"a": %s}}'),
    ("/contexts/c/messages", '{"text": "x", "tags": [{"kind": "k", "name": "n", "value": %s}]}'),
    ("/contexts/c/messages", '{"drafts": %s}'),
    ("/contexts/c/blocks", '{"data": %s}'),
    ("/contexts/c/blocks/{block}/text", '{"offset": %s, "text": "a"}'),
    ("/contexts/c/blocks/{block}/text", '{"offset": 0, "text": %s}'),
    ("/texts", '{"pieces": [{"context_id": %s, "block_id": "x", "offset": 0, "text": "x"}]}'),
    ("/texts", '{"pieces": [{"context_id": "c", "block_id": %s, "offset": 0, "text": "x"}]}'),
    ("/contexts/search", '{"keys": {"a": %s}}'),
    ("/contexts/search", '{"tags": [["a", %s]]}'),
    ("/contexts/search", '{"after": %s}'),
    ("/contexts/c/messages/search", '{"run": %s}'),
    ("/contexts/c/messages/search", '{"last": %s}'),
    ("/contexts/c/events/search", '{"follow": false, "after": %s}'),
    ("/contexts/c/events/search", '{"follow": false, "run": %s}'),
    ("/events/search", '{"follow": false, "keys": {"a": %s}}'),
    ("/leases", '{"blocks": [%s]}'),
    ("/tokens", '{"context_id": %s}'),
    ("/tokens", '{"ttl": %s}'),
    ("/agui/c", '{"messages": [{"role": "user", "content": %s}]}'),
    ("/api/chat/c", '{"messages": [{"role": "user", "parts": [{"type": "text", "text": %s}]}]}'),
    ("/contexts/c/submissions", '{"text": %s, "key": "a"}'),
    ("/contexts/c/submissions", '{"text": "x", "key": %s}'),
    ("/contexts/c/runs", '{"parent_run_id": %s}'),
    ("/contexts/c/runs", '{"id": %s}'),
    ("/compact", '{"older_than": %s}'),
)


@pytest.mark.parametrize("odd", ODD)
def test_odd_json_is_no_error_of_the_server(client: httpx.Client, odd: str) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()["id"]
    headers = {"Content-Type": "application/json"}
    broken = []
    for target, body in BODIES:
        path = target.format(block=block)
        with client.stream("POST", path, content=(body % ODD[odd]).encode(), headers=headers) as answer:
            if answer.status_code >= 500:
                broken.append(f"{target} {body}: {answer.status_code}")
    assert not broken
    assert client.get("/contexts/c/messages").status_code == 200
    assert client.get("/contexts").status_code == 200


def test_a_key_that_is_used_again_for_something_else_is_refused(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "k"}
    for path, one, other in (
        ("blocks", {"author": "a"}, {"author": "b"}),
        ("submissions", {"text": "a"}, {"text": "b"}),
    ):
        first = client.post(f"/contexts/c/{path}", json=one, headers=key)
        assert client.post(f"/contexts/c/{path}", json=one, headers=key).json() == first.json()
        problem(client.post(f"/contexts/c/{path}", json=other, headers=key), 409, "key_conflict")
        assert client.post(f"/contexts/other/{path}", json=other, headers=key).status_code == 201
    run: dict[str, Any] = {"id": str(uuid4())}
    parent = client.post("/contexts/c/runs", json=run).json()["id"]
    assert parent == run["id"]
    problem(client.post("/contexts/c/runs", json={**run, "parent_run_id": parent}), 409, "key_conflict")


def test_what_is_asked_in_one_breath_is_answered_in_its_order(served: Served, client: httpx.Client) -> None:
    """A stream, then something else on the same connection: nothing of the one gets into the other."""
    client.post("/contexts/c/messages", json={"text": "one"})
    head = f"Host: 127.0.0.1:{served.port}\r\nAuthorization: Bearer {served.token()}\r\n"
    asked = ("/contexts/c/events?follow=false", "/healthz", "/contexts/c/events?timeout=0.3&after=now", "/healthz")
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as own:
        for number, path in enumerate(asked):
            last = "Connection: close\r\n" if number == len(asked) - 1 else ""
            own.sendall(f"GET {path} HTTP/1.1\r\n{head}{last}\r\n".encode())
        data = b"".join(iter(lambda: own.recv(65_536), b""))
    first, second, third, fourth = data.split(b"HTTP/1.1 200 OK")[1:]
    assert [part.count(b'"status":"ok"') for part in (first, second, third, fourth)] == [0, 1, 0, 1]
    assert [part.count(b"event: ") for part in (first, second, third, fourth)] == [2, 0, 1, 0]
    assert [part.endswith(b"0\r\n\r\n") for part in (first, third)] == [True, True]
