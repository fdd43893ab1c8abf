"""Every endpoint, asked by everybody who may not: they are taken from the application's routes, so that none is
forgotten. What an endpoint needs follows from its method, and exceptions are named here."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi.routing import iter_route_contexts
from http_support import SECRET, Served, append, events, problem
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.slow

PUBLIC = {"/", "/healthz", "/readyz", "/openapi.json", "/page"}
OWN = {"/tokens", "/leases", "/texts", "/store"}
"""They act within the caller's own reach, whatever that is."""
READ_BY_POST = {
    "/contexts/search",
    "/contexts/{context}/messages/search",
    "/contexts/{context}/count",
    "/contexts/{context}/events/search",
    "/events/search",
}
READ_BY_WRITING = {
    "/agui/{context}",
    "/api/chat/{context}",
    "/chats/{context}/answer",
    "/contexts/{context}/blocks/{block}/tags",
    "/contexts/{context}/blocks/{block}/usage",
}
"""Their answers hold what others wrote: they need both scopes."""
BY_ADDRESS = (
    "/events",
    "/contexts/{context}/events",
    "/contexts/{context}/blocks/{block}/parts/{digest}",
    "/contexts/{context}/runs/{run}/chunks",
    "/agui/{context}",
    "/api/chat/{context}/stream",
    "/v1/stream/ctx/{context}",
    "/v1/stream/run/{context}/{run}",
)
"""What a browser opens by its address alone: a token for reading may stand in it."""
PNG = {"type": "image", "mime_type": "image/png", "content": base64.b64encode(b"png").decode()}


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str

    @property
    def reads(self) -> bool:
        return self.path not in OWN and (self.method in ("GET", "WS") or self.path in READ_BY_POST)

    @property
    def writes(self) -> bool:
        return not self.reads and self.path not in OWN

    @property
    def of_store(self) -> bool:
        return "{context}" not in self.path and self.path not in OWN

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Place:
    """A served store with something in it, and its endpoints."""

    served: Served
    names: dict[str, str]
    endpoints: list[Endpoint]
    stranger: httpx.Client

    def ask(self, endpoint: Endpoint, token: str | None, **params: str) -> int:
        """The status of an answer."""
        path = endpoint.path.format(**self.names)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if endpoint.method == "WS":
            return self._knock(str(httpx.URL(path, params=params)), headers)
        body = {} if endpoint.method in ("GET", "DELETE") else {"json": {}}
        with self.stranger.stream(endpoint.method, path, headers=headers, params=params, **body) as answer:
            return answer.status_code

    def _knock(self, path: str, headers: dict[str, str]) -> int:
        try:
            self.served.socket(path, headers=headers or {"Authorization": ""}).close()
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101

    def let_in(
        self, token: str | None, expected: int, wanted: Callable[[Endpoint], bool] = bool, **params: str
    ) -> list[str]:
        """The endpoints that do not answer as they should."""
        asked = [endpoint for endpoint in self.endpoints if wanted(endpoint)]
        assert asked
        found = ((endpoint, self.ask(endpoint, token, **params)) for endpoint in asked)
        return [f"{endpoint}: {status}" for endpoint, status in found if status != expected]


@pytest.fixture
def place(served: Served) -> Place:
    client = served.client()
    [block] = client.post("/contexts/c/messages", json={"text": "secret", "parts": [PNG]}).json()["blocks"]
    run = client.post("/contexts/c/runs", json={}).json()["id"]
    append(client, "other", "of the other")
    names = {"context": "c", "block": block["id"], "run": run, "digest": block["parts"][0]["digest"]}
    endpoints = sorted(endpoints_of(served), key=lambda one: (one.method == "DELETE", str(one)))
    return Place(served, names, endpoints, served.stranger())


def endpoints_of(served: Served) -> Iterator[Endpoint]:
    for route in iter_route_contexts(served.app.routes):
        assert route.path is not None
        if route.path in PUBLIC:
            continue
        for method in sorted(getattr(route, "methods", None) or {"WS"}):
            yield Endpoint(method, route.path)


def test_the_endpoints_are_all_there(place: Place) -> None:
    found = {str(one) for one in place.endpoints}
    assert len(found) >= 34
    assert {"WS /events", "DELETE /contexts/{context}", "GET /metrics", "POST /tokens"} <= found
    assert {one.path for one in place.endpoints} >= OWN | READ_BY_POST | READ_BY_WRITING | {*BY_ADDRESS}


def test_a_token_for_everything_is_refused_nowhere(place: Place) -> None:
    token = place.served.token()
    statuses = {str(one): place.ask(one, token) for one in place.endpoints}
    assert not {one: status for one, status in statuses.items() if status in (401, 403, 404, 405) or status >= 500}


def test_what_is_public_tells_nothing(place: Place) -> None:
    stranger = place.served.stranger()
    for path in PUBLIC - {"/page"}:
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert "secret" not in answer.text.replace('"secret"', "")


def changed(token: str, part: int, change: Callable[[dict[str, Any]], None]) -> str:
    """A token of whose parts one is another, and the signature is the old one."""
    parts = token.split(".")
    value = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    change(value)
    parts[part] = base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return ".".join(parts)


def made(served: Served, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token of claims, of which those are left out that are None."""
    own = {"iss": "chatstore", "aud": served.store.identity, "sub": "x", "scope": "read write admin"}
    own |= {"exp": int(time.time()) + 600, **claims}
    return jwt.encode({name: value for name, value in own.items() if value is not None}, secret, algorithm)


WORTHLESS: dict[str, Callable[[Served], str | None]] = {
    "none at all": lambda served: None,
    "expired": lambda served: served.token(ttl=-1),
    "no token": lambda served: "x",
    "two dots": lambda served: "..",
    "with NUL": lambda served: served.token() + "%00",
    "of 7,000 characters": lambda served: served.token() + "x" * 7_000,
    "truncated": lambda served: served.token()[:-1],
    "signature left out": lambda served: served.token().rpartition(".")[0] + ".",
    "alg none": lambda served: made(served, "", "none"),
    "alg none kept signature": lambda served: changed(served.token(), 0, lambda head: head.update(alg="none")),
    "alg None in capitals": lambda served: changed(served.token(), 0, lambda head: head.update(alg="NONE")),
    "other algorithm": lambda served: made(served, SECRET * 2, "HS512"),
    "other key": lambda served: made(served, "another secret of thirty-two characters"),
    "key of its own": lambda served: changed(
        served.token(), 0, lambda head: head.update(jwk={"kty": "oct", "k": "QUJD"}, kid="../../dev/null")
    ),
    "scope widened": lambda served: changed(
        served.token("c", read=True), 1, lambda claims: claims.update(scope="read write admin")
    ),
    "context widened": lambda served: changed(served.token("c"), 1, lambda claims: claims.pop("ctx")),
    "expiry moved": lambda served: changed(served.token(ttl=-1), 1, lambda claims: claims.update(exp=2**33)),
    "of another store": lambda served: made(served, aud="0123456789ab"),
    "of another issuer": lambda served: made(served, iss="somebody"),
    "without audience": lambda served: made(served, aud=None),
    "without an end": lambda served: made(served, exp=None),
    "without a scope": lambda served: made(served, scope=None),
    "a scope that is a list": lambda served: made(served, scope=["read"]),
    "a context that is a number": lambda served: made(served, ctx=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORTHLESS)
def test_a_token_that_does_not_hold_is_refused_everywhere(place: Place, kind: str) -> None:
    assert not place.let_in(WORTHLESS[kind](place.served), 401)


def test_a_token_of_another_context_reaches_nothing_of_this_one(place: Place) -> None:
    token = place.served.token("other")
    assert not place.let_in(token, 404, lambda one: one.path not in OWN)


@pytest.mark.slow
@pytest.mark.parametrize("context", ["C", "c/", "c%00", "c ", "c/b", "", "~Yw", "..", "cc"])
def test_a_token_of_a_context_of_nearly_the_same_name_reaches_nothing(place: Place, context: str) -> None:
    assert not place.let_in(place.served.token(context), 404, lambda one: one.path not in OWN)


def test_a_token_of_one_context_reaches_nothing_of_the_whole_store(place: Place) -> None:
    assert not place.let_in(place.served.token("c"), 404, lambda one: one.of_store or one.method == "DELETE")


def test_a_token_for_reading_writes_nothing(place: Place) -> None:
    for context in (None, "c"):
        token = place.served.token(context, read=True)
        assert not place.let_in(token, 404, lambda one: one.writes or one.path in ("/leases", "/texts"))


def test_a_token_for_writing_reads_nothing(place: Place) -> None:
    for context in (None, "c"):
        token = place.served.token(context, write=True)
        assert not place.let_in(token, 404, lambda one: one.reads or one.path in READ_BY_WRITING)


def test_only_an_admin_erases_and_looks_after_the_store(place: Place) -> None:
    upkeep = ("/check", "/prune", "/compact")
    for token in (place.served.token(read=True, write=True), place.served.token("c")):
        assert not place.let_in(token, 404, lambda one: one.method == "DELETE" or one.path in upkeep)


def test_a_token_that_can_write_is_not_taken_from_the_query(place: Place) -> None:
    for scope in ({"write": True}, {"read": True, "write": True}, {"read": True, "admin": True}):
        assert not place.let_in(None, 401, access_token=place.served.token(**scope))


def test_who_has_none_but_the_token_of_the_link_is_told_what_a_query_takes(place: Place) -> None:
    for scope, said in (({"write": True}, "may only read: make one with `chatstore token --read"), ({}, "")):
        token = place.served.token(**scope) if scope else "none"
        answer = place.served.stranger().get("/contexts/c/events", params={"access_token": token})
        refused = problem(answer, 401, "unauthorized")
        assert said in refused["detail"] and "Bearer" in refused["detail"]


def test_a_token_for_reading_is_taken_from_the_query_where_browsers_send_no_headers(place: Place) -> None:
    token = place.served.token("c", read=True)
    assert not place.let_in(None, 401, lambda one: one.path not in BY_ADDRESS, access_token=token)
    assert not place.let_in(None, 401, lambda one: not one.reads, access_token=token)
    let_in = {one: place.ask(one, None, access_token=token) for one in place.endpoints if one.path in BY_ADDRESS}
    assert {status for one, status in let_in.items() if one.reads and not one.of_store} <= {101, 200, 204}


def test_a_token_of_one_context_may_do_in_it_what_it_says(place: Place) -> None:
    token = place.served.token("c", read=True, write=True)
    inside = [one for one in place.endpoints if "{context}" in one.path and one.method != "DELETE"]
    statuses = {str(one): place.ask(one, token) for one in inside}
    assert not {one: status for one, status in statuses.items() if status in (401, 403, 404) or status >= 500}


def test_what_is_missing_and_what_is_forbidden_look_the_same(place: Place) -> None:
    client = place.served.client(place.served.token("c"))
    missing = place.served.client().get("/contexts/nobody")
    forbidden = client.get("/contexts/other")
    absent = client.get("/contexts/nobody")
    assert missing.json() == forbidden.json() == absent.json()
    assert {name for name, _ in forbidden.headers.items()} == {name for name, _ in absent.headers.items()}


def test_what_is_open_elsewhere_looks_as_if_it_were_not_there(place: Place) -> None:
    owner, other = place.served.client(), place.served.client(place.served.token("other"))
    block = owner.post("/contexts/c/blocks", json={}).json()["id"]
    run = owner.post("/contexts/c/runs", json={}).json()["id"]
    nobody, nothing = (id[:-4] + ("0000" if id[-4:] != "0000" else "1111") for id in (block, run))
    for open, missing, body in (
        (f"blocks/{block}/text", f"blocks/{nobody}/text", {"offset": 0, "text": "x"}),
        (f"blocks/{block}/close", f"blocks/{nobody}/close", {}),
        (f"runs/{run}/end", f"runs/{nothing}/end", {}),
        (f"runs/{run}/cancel", f"runs/{nothing}/cancel", {}),
    ):
        there = other.post(f"/contexts/other/{open}", json=body)
        not_there = other.post(f"/contexts/other/{missing}", json=body)
        assert there.status_code == not_there.status_code == 404, (open, there.text, not_there.text)
        assert there.json()["code"] == not_there.json()["code"]
    lost = other.post("/leases", json={"blocks": [block, nobody], "runs": [run]}).json()["lost"]
    assert lost == [block, nobody, run]
    assert owner.get(f"/contexts/c/blocks/{block}").json()["state"] == "open"


def test_a_token_gives_no_more_than_it_is(place: Place) -> None:
    served = place.served
    own = served.token("c", read=True, ttl=60)
    client = served.client(own)
    for wanted in ({"context_id": "other"}, {"context_id": None}, {}, {"context_id": "c", "write": True}):
        assert client.post("/tokens", json=wanted).status_code == 404
    assert client.post("/tokens", json={"context_id": "c", "read": False}).status_code == 422
    given = client.post("/tokens", json={"context_id": "c", "ttl": 10**7}).json()
    assert given["expires_at"] <= time.time() + 61
    assert not place.let_in(given["token"], 404, lambda one: one.of_store or one.writes)


def test_reading_a_list_shows_no_more_of_a_context_than_its_token(place: Place) -> None:
    """The whole store's list, search, events and metrics are refused as a whole: nothing of them is filtered."""
    client = place.served.client(place.served.token("c"))
    for answer in (
        client.get("/contexts"),
        client.get("/contexts", params={"key": "a:b"}),
        client.post("/contexts/search", json={}),
        client.get("/events", params={"wait": 0}),
        client.get("/metrics"),
    ):
        assert answer.status_code == 404
        assert "other" not in answer.text


def test_an_event_source_with_a_token_in_its_address_reads(place: Place) -> None:
    params = {"access_token": place.served.token("c", read=True), "follow": "false"}
    with events(place.served.stranger(), "/contexts/c/events", params=params) as stream:
        assert next(stream).event == "block_added"


def test_the_secret_of_a_store_is_of_its_user_alone(tmp_path: Path, start: Callable[..., Any]) -> None:
    start()
    [secret] = (tmp_path / "state" / "chatstore").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text()) >= 32
