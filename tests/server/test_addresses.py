"""What the address and the head of a request may say."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from http_support import DEADLINE, Served, append, problem
from websockets.exceptions import InvalidStatus

from chatstore import AsyncChatStore
from chatstore.errors import StoreFull
from chatstore.server import ServerLimits
from chatstore.server.access_log import shown
from chatstore.server.space import Space

UNKNOWN = [
    ("/contexts/c/messages?types=status", "types"),
    ("/contexts/c/messages?limt=5&kind=trace", "limt"),
    ("/contexts?user=u1", "user"),
    ("/contexts/c/events?wait=0&since=x", "since"),
    ("/contexts/c/head?x", "x"),
]


@pytest.mark.parametrize(("target", "name"), UNKNOWN)
def test_a_parameter_that_nobody_reads_is_refused_and_named(client: httpx.Client, target: str, name: str) -> None:
    told = problem(client.get(target), 422, "invalid_input")["detail"]
    assert f"'{name}'" in told
    if "messages" in target:
        assert "kind" in told
        assert "limit" in told


@pytest.mark.parametrize("target", ["/v1/stream/ctx/c?shard=1", "/agui/c?runId=r&offset=-1"])
def test_clients_of_protocols_may_add_parameters_of_their_own(client: httpx.Client, target: str) -> None:
    append(client, "c", "x")
    assert client.get(target).status_code != 422


def test_a_socket_with_a_parameter_that_nobody_reads_is_told_so(served: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        served.socket("/contexts/c/events?afer=now")
    assert refused.value.response.status_code == 422
    assert b"'afer'" in bytes(refused.value.response.body or b"")
    assert refused.value.response.headers["content-type"] == "application/problem+json"


def test_tokens_in_the_query_are_known_parameters(served: Served) -> None:
    append(served.client(), "c", "x")
    token = served.token(read=True)
    answer = served.stranger().get(f"/contexts/c/events?access_token={token}&follow=false")
    assert answer.status_code == 200


@pytest.mark.parametrize("target", ["/contexts/%FF/messages", "/contexts/a%C3/head", "/contexts/c/messages?author=%FF"])
def test_an_address_that_is_no_utf_8_is_refused(client: httpx.Client, target: str) -> None:
    problem(client.get(target), 400, "invalid_request")
    problem(client.post("/contexts/%FF/messages", json={"text": "x"}), 400, "invalid_request")
    assert client.get("/contexts").json()["contexts"] == []


def test_a_character_that_stands_for_others_may_be_meant(client: httpx.Client) -> None:
    append(client, "%EF%BF%BD", "x")
    assert [one["context_id"] for one in client.get("/contexts").json()["contexts"]] == ["\ufffd"]


def test_a_request_that_names_two_hosts_is_refused(served: Served) -> None:
    with closing(socket.create_connection(("127.0.0.1", served.port), DEADLINE)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", ["/contexts/", "/contexts/c/messages/", "/healthz/"])
def test_a_slash_too_many_is_not_found(client: httpx.Client, target: str) -> None:
    problem(client.get(target), 404, "not_found")


def test_a_token_is_left_out_of_the_log_wherever_it_stands(served: Served) -> None:
    token = served.token()
    for path, query in (
        (f"/contexts/{token}/messages", ""),
        ("/contexts", f"tok={token}"),
        ("/contexts", f"a=b&x={token.replace('.', '%2E')}&c=d"),
    ):
        line = shown({"type": "http", "path": path, "query_string": query.encode()})
        assert token.partition(".")[2][:20] not in line
        assert "…" in line


def test_a_server_without_space_is_not_ready_until_a_write_succeeds(served: Served, client: httpx.Client) -> None:
    append(client, "c", "x")
    assert client.get("/readyz").status_code == 200
    served.service.space.tell(StoreFull("no space left"))
    problem(client.get("/readyz"), 503, "not_ready")
    append(client, "c", "there is some")
    assert client.get("/readyz").status_code == 200


def test_a_server_without_space_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space()
    space.tell(StoreFull("no space left"))
    assert space.is_missing
    monkeypatch.setattr(Space, "PATIENCE", 0.0)
    space.tell(StoreFull("no space left"))
    assert not space.is_missing


def test_a_token_for_a_context_names_it_as_everything_does(served: Served) -> None:
    made = served.client().post("/tokens", json={"context_id": "c"}).json()["token"]
    assert served.authority.read(made).context_id == "c"
    former = {"context": "c"}
    told = problem(served.client().post("/tokens", json=former), 422)["detail"]
    assert "context" in told


async def test_a_remote_store_asks_for_nothing_that_is_unknown(serve: Callable[..., Served]) -> None:
    served = serve(limits=ServerLimits())
    async with AsyncChatStore(served.url, token=served.token()) as store:
        await store.history("c").append_user_message("x")
        assert len(await store.contexts(limit=5)) == 1
        assert len(await store.history("c").get_messages(last=5)) == 1
