"""What is sent to a server in bad faith, by its numbers in the list of test_http_attacks: 115 to 122."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest
from http_support import DEADLINE, Served, append, problem

from chatstore.server import ServerLimits
from chatstore.wire.names import segment

Serve = Callable[..., Served]
FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")


@pytest.mark.slow
@pytest.mark.parametrize("value", ["x') OR '1'='1", "$.a", 'a"]', "%", "_", "\\", "x' --", "\ud83d\ude00", "'"])
def test_115_a_filter_means_itself_alone(client: httpx.Client, value: str) -> None:
    client.post("/contexts/c/messages", json={"text": "other", "author": "a", "role": "r"})
    value = value.encode("utf-16", "surrogatepass").decode("utf-16")
    for params in ({"author": value}, {"role": value}, {"type": value}, {"tag": f"{value}:{value}"}):
        assert client.get("/contexts/c/count", params=params).json() == {"count": 0}
    assert client.get("/contexts", params={"key": f"{value}:{value}"}).json()["contexts"] == []
    assert client.get("/contexts", params={"tag": f"{value}:{value}"}).json()["contexts"] == []
    client.post("/contexts/c/messages", json={"text": "its own", "author": value})
    found = client.get("/contexts/c/messages", params={"author": value}).json()["messages"]
    assert [block["text"] for block in found] == ["its own"]


@pytest.mark.slow
@pytest.mark.timed
def test_115_a_hundred_thousand_values_are_refused_at_once(client: httpx.Client) -> None:
    append(client, "c", "x")
    many = [[str(place), "x"] for place in range(100_000)]
    begun = time.monotonic()
    refused = problem(client.post("/contexts/search", json={"tags": many}), 413, "limit_exceeded")
    assert (refused["limit"], refused["value"]) == ("tags", 1_000)
    problem(client.post("/contexts/search", json={"keys": dict(many)}), 413, "limit_exceeded")
    query = "&".join(f"author={place}" for place in range(2_200))
    assert client.get(f"/contexts/c/count?{query}").status_code in (200, 413, 422)
    with closing(HTTPConnection("127.0.0.1", client.base_url.port, timeout=DEADLINE)) as connection:
        connection.request("GET", f"/contexts/c/count?{query}&{query}")
        assert connection.getresponse().status == 414
    assert time.monotonic() - begun < 10


PATHS = [
    "/page/../../../../../../etc/passwd",
    "/page/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/page/%2e%2e/%2e%2e/tokens.py",
    "/page/....//....//tokens.py",
    "/page//etc/passwd",
    "/page/..\\..\\tokens.py",
    "/page/%00",
    "/page/../tokens.py",
]


@pytest.mark.slow
@pytest.mark.parametrize("target", PATHS)
def test_116_no_file_beside_the_pages_own_is_served(served: Served, target: str) -> None:
    request = served.stranger().build_request("GET", served.url)
    request.url = request.url.copy_with(raw_path=target.encode())
    answer = served.stranger().send(request)
    assert answer.status_code == 404
    assert "root:" not in answer.text and "import" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("name", [".", "..", "../../etc/passwd", "a/b", "%2e%2e%2f", "é", "é", "CON", " a "])
def test_116_a_context_of_any_name_is_that_and_no_path(client: httpx.Client, name: str) -> None:
    append(client, segment(name), "its own")
    append(client, "other", "of another")
    assert [one["context_id"] for one in client.get("/contexts").json()["contexts"]] == [name, "other"]
    assert [one["text"] for one in client.get(f"/contexts/{segment(name)}/messages").json()["messages"]] == ["its own"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
def test_118_a_compressed_body_is_not_unpacked(client: httpx.Client, coding: str) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    problem(client.post("/contexts/c/messages", content=b"\x1f\x8b", headers=headers), 415, "unsupported_media_type")


def test_119_a_body_that_is_too_large_is_refused_by_its_length(serve: Serve) -> None:
    client = serve(limits=ServerLimits(body_bytes=1_000)).client()
    refused = problem(client.post("/contexts/c/messages", json={"text": "x" * 1_000}), 413, "limit_exceeded")
    assert (refused["limit"], refused["value"]) == ("body_bytes", 1_000)
    assert client.post("/contexts/c/messages", json={"text": "x" * 500}).status_code == 201


def test_119_a_body_that_goes_on_is_refused_when_it_is_too_large(serve: Serve) -> None:
    client = serve(limits=ServerLimits(body_bytes=1_000)).client()

    def endless() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(100):
            yield b"x" * 100
        yield b'"}'

    headers = {"Content-Type": "application/json"}
    answer = client.post("/contexts/c/messages", content=endless(), headers=headers)
    problem(answer, 413, "limit_exceeded")


def test_119_no_body_is_read_of_who_shows_no_token(served: Served) -> None:
    request = (
        f"POST /contexts/c/messages HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), DEADLINE) as connection:
        connection.sendall(request.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_120_a_batch_of_a_million_is_refused_at_once(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"drafts": [' + b"{}," * 1_000_000 + b"{}]}"
    refused = problem(client.post("/contexts/c/messages", content=body, headers=headers), 413, "limit_exceeded")
    assert (refused["limit"], refused["value"]) == ("batch", 100_000)
    body = b'{"parts": [' + b'{"type":"text"},' * 200_000 + b'{"type":"text"}]}'
    problem(client.post("/contexts/c/messages", content=body, headers=headers), 413, "limit_exceeded")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["limit", "last", "wait", "timeout"])
@pytest.mark.parametrize("value", ["1000000000000", "-1", "0.5", "1e400", "nan", "inf", "x", "9" * 5_000, "", "٣"])
def test_121_numbers_are_within_their_bounds(client: httpx.Client, name: str, value: str) -> None:
    append(client, "c", "x")
    url = "/contexts/c/messages" if name in ("limit", "last") else "/contexts/c/events"
    answer = client.get(url, params={name: value, "follow": False})
    assert answer.status_code in (200, 413, 422)
    if answer.status_code != 200:
        problem(answer, answer.status_code)


@pytest.mark.slow
def test_121_no_more_than_a_page_is_given_whatever_is_asked(serve: Serve) -> None:
    client = serve(limits=ServerLimits(page=3)).client()
    append(client, "c", *"abcde")
    append(client, "d", "x")
    for limit in (3, 4, 10**9):
        page = client.get("/contexts/c/messages", params={"limit": limit}).json()
        assert ([block["text"] for block in page["messages"]], page["more"]) == ([*"abc"], True)
        changes = client.get("/contexts/c/events", params={"wait": 0, "limit": limit}).json()["changes"]
        assert len(changes) == 3
    problem(client.get("/contexts/c/messages", params={"last": 10**9}), 413, "limit_exceeded")
    assert len(client.get("/contexts/c/messages", params={"last": 3}).json()["messages"]) == 3


def test_121_no_poll_waits_for_longer_than_it_may(serve: Serve) -> None:
    client = serve(limits=ServerLimits(wait=0.2)).client()
    begun = time.monotonic()
    assert client.get("/contexts/c/events", params={"wait": 10**9, "after": "now"}).json()["changes"] == []
    assert time.monotonic() - begun < 10


@pytest.mark.slow
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "PUT", "CONNECT", "PROPFIND", "GET"])
def test_122_other_methods_do_nothing(client: httpx.Client, method: str) -> None:
    append(client, "c", "x")
    before = client.get("/contexts").json()
    for path in ("/contexts", "/contexts/c", "/contexts/c/messages", "/contexts/search", "/tokens", "/", "/nowhere"):
        answer = client.request(method, path, headers={"X-Secret": "echoed"})
        assert answer.status_code in (200, 204, 400, 404, 405, 415)
        assert "echoed" not in answer.text
    assert client.get("/contexts").json() == before


@pytest.mark.parametrize(
    "kind", ["text/html", "application/octet-stream", "application/jsonx", "application/pickle", "json", "x" * 5_000]
)
def test_122_nothing_but_json_is_read(client: httpx.Client, kind: str) -> None:
    for body in (b'{"text": "x"}', pickle.dumps({"text": "x"}), b"\x81\xa4text\xa1x"):
        answer = client.post("/contexts/c/messages", content=body, headers={"Content-Type": kind})
        problem(answer, 415, "unsupported_media_type")


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"data": NaN}',
        b'{"data": 1e400}',
        b'{"data": ' + b"9" * 5_000 + b"}",
        b'{"data": "\\ud800"}',
        b'{"text": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"text": "\xff"}',
        b"[]",
        b"null",
        b'"x"',
        b'{"type": "a\\u0000b"}',
        b'{"usage": {"\\ud800": 1}}',
        b'{"drafts": 1}',
        b'{"drafts": [], "text": "both"}',
        pickle.dumps({"text": "x"}),
    ],
)
def test_122_a_body_that_is_no_draft_is_refused(client: httpx.Client, body: bytes) -> None:
    for path in ("/contexts/c/messages", "/contexts/c/blocks", "/contexts/c/submissions", "/agui/c", "/api/chat/c"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        if path.startswith("/contexts"):
            problem(answer, answer.status_code)
        assert 200 <= answer.status_code < 500 and (answer.status_code >= 400 or not path.startswith("/contexts"))
    assert client.get("/contexts").json()["contexts"] == []
