"""What is sent to a server in bad faith. Each attack of the list that this was built against has its number and test:

104  another context's token         test_access_matrix
105  enumeration of ids              test_access_matrix: missing and forbidden look the same
106  expired tokens                  test_access_matrix; while a stream is open: here
107  tampered tokens                 test_access_matrix
108  tokens in logs and Referer      here
109  Host and Origin                 here
110  CORS preflight                  here
111  CSRF by forms                   here
112  cross-site EventSource          here
113  injection into events           here
114  Last-Event-ID                   test_http_feeds: a cursor that is none
115  filters                         …_on_requests
116  path traversal                  …_on_requests
117  slow, lying, vanishing clients  test_http_slow_clients
118  compressed bodies               …_on_requests
119  large bodies                    …_on_requests
120  large batches                   …_on_requests
121  limits and waits                …_on_requests
122  methods and content types       …_on_requests
123  markup in texts                 the page's own tests; that no answer is a page: …_on_answers
124  stored files served inline      …_on_answers
125  escape sequences in a terminal  tests/cli/test_safe_output.py
126  formulas in exports             …_on_answers; exports are JSON Lines: tests/cli/test_import_export.py
127  secrets in messages             tests/test_redaction.py; in pieces over HTTP: …_on_answers
128  what errors tell                …_on_answers
129  pickles                         …_on_requests: nothing but JSON is read
130  log injection                   …_on_answers
131  erased contexts                 …_on_answers
132  replayed appends                …_on_answers
133  rates over many contexts        …_on_answers
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from http_support import DEADLINE, Served, ServerProcess, append, events, problem
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatstore.wire.names import segment

Serve = Callable[..., Served]
FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")


@pytest.fixture
def cookie(served: Served) -> httpx.Client:
    """A browser that has opened the link: it shows its token in a cookie, whatever page it is on."""
    browser = served.stranger(follow_redirects=True)
    assert browser.get("/", params={"token": served.token()}).status_code == 200
    assert browser.get("/contexts").status_code == 200
    return browser


@pytest.mark.slow
def test_106_a_token_that_expires_ends_the_streams_that_it_opened(served: Served, client: httpx.Client) -> None:
    append(client, "c", "one")
    token = served.token("c", read=True, ttl=10)
    short = served.client(token)
    with events(short, "/contexts/c/events") as stream, served.socket("/contexts/c/events", token) as opened:
        next(stream), opened.recv(DEADLINE)
        assert not [*stream]
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(DEADLINE)
    assert closed.value.rcvd.code == 4401
    problem(short.get("/contexts/c/events"), 401, "unauthorized")


@pytest.mark.slow
def test_106_a_token_that_expires_ends_the_poll_that_waits(served: Served) -> None:
    short = served.client(served.token("c", read=True, ttl=10))
    begun = time.monotonic()
    assert short.get("/contexts/c/events", params={"wait": 60, "after": "now"}).json()["changes"] == []
    assert time.monotonic() - begun < 50  # and not the sixty that it asked for


def test_108_no_token_is_logged_or_handed_on(
    served: Served, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    for clients in ("httpcore", "httpx", "websockets", "aiosqlite"):
        caplog.set_level(logging.WARNING, clients)
    caplog.set_level(logging.DEBUG)
    append(client, "c", "one")
    token = served.token("c", read=True)
    stranger = served.stranger()
    for query in (f"access_token={token}", f"access%5Ftoken={token}", f"kind=trace&%61ccess_token={token}&role=user"):
        answer = stranger.get(f"/contexts/c/events?follow=false&{query}")
        assert (answer.status_code, answer.headers["referrer-policy"]) == (200, "no-referrer")
    opened = stranger.get("/", params={"token": token})
    assert (opened.status_code, opened.headers["referrer-policy"]) == (303, "no-referrer")
    refused = stranger.get("/", params={"token": f"{token}x"})
    assert refused.status_code == 401
    served.socket(f"/contexts/c/events?access_token={token}").close()
    assert "/contexts/c/events" in caplog.text
    assert token not in caplog.text
    assert token not in opened.text + str(opened.headers["location"]) + refused.text


@pytest.mark.parametrize(
    "host", ["evil.com", "evil.com:80", "localhost.evil.com", "127.0.0.1.evil.com", "localhost:1@evil.com", "", "["]
)
def test_109_a_server_answers_to_its_own_names_alone(client: httpx.Client, host: str) -> None:
    for path in ("/contexts", "/", "/healthz", "/openapi.json"):
        problem(client.get(path, headers={"Host": host}), 421, "wrong_host")


def test_109_a_server_may_be_given_other_names(serve: Serve) -> None:
    client = serve(hosts=["chat.example"]).client()
    for host in ("chat.example", "chat.example:443", "CHAT.example", "localhost:1", "[::1]:8000"):
        assert client.get("/contexts", headers={"Host": host}).status_code == 200
    problem(client.get("/contexts", headers={"Host": "a.chat.example"}), 421, "wrong_host")


ORIGINS = [
    "null",
    "https://good.example.evil.com",
    "https://evilgood.example",
    "http://good.example",
    "https://good.example:8443",
    "http://localhost:1",
    "http://127.0.0.1",
    "file://",
    "http://[",
    "",
    "https://good.example, https://evil.com",
]


@pytest.mark.slow
@pytest.mark.parametrize("origin", ORIGINS)
def test_109_pages_of_other_origins_are_refused(serve: Serve, origin: str) -> None:
    served = serve(origins=["https://good.example"])
    client = served.client()
    problem(client.get("/contexts", headers={"Origin": origin}), 403, "wrong_origin")
    problem(client.post("/contexts/c/messages", json={"text": "x"}, headers={"Origin": origin}), 403, "wrong_origin")
    with pytest.raises(InvalidStatus) as refused:
        served.socket("/events", headers={"Origin": origin})
    assert refused.value.response.status_code == 403


def test_110_only_the_origins_that_are_named_may_ask_across(serve: Serve) -> None:
    client = serve(origins=["https://good.example"]).client()
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = client.options("/contexts", headers={"Origin": "https://good.example", **asked})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "https://good.example"
    assert "access-control-allow-credentials" not in allowed.headers
    assert client.get("/contexts", headers={"Origin": "https://good.example"}).headers["vary"] == "Origin"
    for origin in ("https://evil.com", "null", "*"):
        other = client.options("/contexts", headers={"Origin": origin, **asked})
        assert "access-control-allow-origin" not in other.headers


def test_110_all_origins_may_ask_where_all_are_named(serve: Serve) -> None:
    client = serve(origins=["*"]).client()
    for origin in ("https://any.example", "null"):
        answer = client.get("/contexts", headers={"Origin": origin})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in client.get("/contexts").headers


def test_pages_of_those_origins_may_send_what_endpoints_read_and_see_what_they_say(serve: Serve) -> None:
    client = serve(origins=["https://good.example"]).client(headers={"Origin": "https://good.example"})
    allowed = client.options("/contexts").headers["access-control-allow-headers"].split(", ")
    paths = client.get("/openapi.json").json()["paths"].values()
    parameters = [one for path in paths for method in path.values() for one in method.get("parameters", ())]
    read = {one["name"].lower() for one in parameters if one["in"] == "header"}
    assert read
    assert {*allowed} == read | {"authorization", "content-type"}
    client.post("/contexts/c/messages", json={"text": "x"})
    answer = client.get("/v1/stream/ctx/c", params={"offset": "-1", "live": "long-poll"})
    told = {name for name in answer.headers if name.startswith("stream-")}
    assert {"stream-next-offset", "stream-cursor"} <= told
    assert told <= {*answer.headers["access-control-expose-headers"].split(", ")}


def test_111_the_cookie_is_no_scripts_and_no_other_sites(served: Served) -> None:
    answer = served.stranger().get("/", params={"token": served.token()})
    set_cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip() for part in set_cookie.split(";")}
    secure = served.stranger(headers={"X-Forwarded-Proto": "https"}).get("/", params={"token": served.token()})
    assert "secure" in secure.headers["set-cookie"].lower()


@pytest.mark.slow
@pytest.mark.parametrize("context", ["c", "a b&c=d#e?f/../ü💬", "//evil.com", "\\\\evil.com", "javascript:alert(1)"])
def test_a_link_for_one_context_opens_the_page_at_it_and_nowhere_else(served: Served, context: str) -> None:
    location = served.stranger().get("/", params={"token": served.token(context, read=True)}).headers["location"]
    place, _, fragment = location.partition("#")
    assert place == "./"
    assert parse_qs(fragment) == {"c": [context]}
    assert served.stranger().get("/", params={"token": served.token()}).headers["location"] == "./"


@pytest.mark.parametrize("kind", FORMS)
def test_111_a_form_of_another_site_writes_nothing(cookie: httpx.Client, client: httpx.Client, kind: str) -> None:
    """Even if the browser sent its cookie along, and told of no origin."""
    body = b'{"text": "x", "role": "user"}'
    answer = cookie.post("/contexts/c/messages", content=body, headers={"Content-Type": kind})
    problem(answer, 415, "unsupported_media_type")
    problem(cookie.post("/contexts/c/runs/x/cancel", content=b"", headers={"Content-Type": kind}), 415)
    assert client.get("/contexts").json()["contexts"] == []


def test_111_a_page_of_another_site_writes_nothing_by_the_cookie(cookie: httpx.Client) -> None:
    port = cookie.base_url.port
    for origin in ("http://evil.com", "null", "http://localhost:1", f"http://127.0.0.1.evil.com:{port}"):
        answer = cookie.post("/contexts/c/messages", json={"text": "x"}, headers={"Origin": origin})
        problem(answer, 403, "wrong_origin")
    own = cookie.post("/contexts/c/messages", json={"text": "x"}, headers={"Origin": f"http://127.0.0.1:{port}"})
    assert own.status_code == 201


def test_112_another_site_follows_nothing_by_the_cookie(cookie: httpx.Client) -> None:
    for headers in (
        {"Origin": "https://evil.com", "Accept": "text/event-stream"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        problem(cookie.get("/events", headers=headers), 403, "wrong_origin")


INJECTED = "x\n\nevent: evil\ndata: {}\r\rid: 1\u2028\u2029\x85\x0b\0"


def test_113_nothing_that_is_stored_becomes_an_event(client: httpx.Client) -> None:
    name = INJECTED.replace("\0", "")
    draft = {"type": "message", "text": INJECTED, "role": name, "author": name, "data": {name: INJECTED}}
    draft["tags"] = [{"kind": name, "name": name, "value": INJECTED}]
    context = segment(f"c{name}")
    stored = client.post(f"/contexts/{context}/messages", json=draft)
    assert stored.status_code == 201, stored.text
    block = client.post(f"/contexts/{context}/blocks", json={}).json()["id"]
    error = {"type": name, "message": INJECTED}
    client.post(f"/contexts/{context}/blocks/{block}/close", json={"state": "failed", "error": error})
    for url in (f"/contexts/{context}/events", "/events"):
        with events(client, url, params={"follow": False}) as stream:
            found = [*stream]
        assert [event.event for event in found] == ["block_added", "block_added", "block_closed"]
        assert json.loads(found[0].data)["block"]["text"] == INJECTED
        answer = client.get(url, params={"follow": False}, headers={"Accept": "application/x-ndjson"})
        assert len(answer.content.split(b"\n")) == 4


def test_an_admin_s_tokens_are_counted_by_themselves(served: Served) -> None:
    made = [served.client().post("/tokens", json={"context_id": "c"}).json()["token"] for _ in range(2)]
    subjects = {jwt.decode(token, options={"verify_signature": False})["sub"] for token in made}
    assert len(subjects) == 2


@pytest.mark.parametrize("target", ["/nowhere", "/contexts/c/nowhere", "/agui", "/v1/stream/x", "/page/nowhere"])
def test_what_is_nowhere_is_a_problem_like_any_other(client: httpx.Client, target: str) -> None:
    answer = client.get(target)
    problem(answer, 404, "not_found")
    assert answer.headers["x-frame-options"] == "DENY"


def test_every_answer_has_the_headers_of_security(served: Served, client: httpx.Client) -> None:
    wanted = {"x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy"}
    append(client, "c", "x")
    for answer in (
        client.get("/"),
        client.get("/contexts"),
        client.get("/contexts/c/events", params={"follow": False}),
        client.get("/nowhere"),
        client.get("/contexts", headers={"Host": "evil.com"}),
        client.post("/contexts", json={}),
        client.options("/contexts"),
        served.stranger().get("/contexts"),
    ):
        assert wanted <= {*answer.headers}, answer.url


def test_two_stores_of_one_host_do_not_share_a_cookie(served: Served, tmp_path: Any) -> None:
    with Served(tmp_path / "second.db") as second:
        cookies = httpx.Cookies()
        with httpx.Client(cookies=cookies, follow_redirects=True, timeout=DEADLINE) as browser:
            for one in (served, second):
                browser.get(f"{one.url}/", params={"token": one.token()})
            for one in (served, second):
                assert browser.get(f"{one.url}/contexts").status_code == 200


@pytest.mark.slow
def test_a_weak_secret_is_refused(start: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTORE_SECRET", "short")
    with pytest.raises(AssertionError, match="it needs 32 that nobody guesses"):
        start()
