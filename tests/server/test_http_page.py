"""What docs/http.md shows of requests, asked of a server."""

from __future__ import annotations

import re
from pathlib import Path

from http_support import Served

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
JSON = {"Content-Type": "application/json"}
CURL = re.compile(r"curl (?!-N)((?:[^\n]|\\\n)*?)('localhost:8000[^']+'|localhost:8000\S+)")


def test_the_curl_commands_of_the_page_do_what_it_says(served: Served) -> None:
    client, block, done = served.client(), "", 0
    for options, target in CURL.findall(PAGE):
        path = target.strip("'").removeprefix("localhost:8000").replace("$BLOCK", block)
        body = re.search(r"-d '(.*)'\s*$", options)
        if body is None:
            answer = client.get(path)
        else:
            answer = client.post(path, content=body[1].replace("'$BLOCK'", block), headers=JSON)
        assert answer.is_success, (options, target, answer.text)
        done += 1
        if path.endswith("/blocks"):
            block = answer.json()["id"]
    assert done >= 9
    stored = client.get(f"/contexts/support-42/blocks/{block}").json()
    assert (stored["text"], stored["state"]) == ("It is sunny.", "closed")


def test_the_bodies_of_tokens_and_texts_are_as_the_page_says(served: Served) -> None:
    client = served.client()
    [wanted] = re.findall(r"`POST /tokens` \|[^`]*`(.*?)`", PAGE)
    assert set(client.post("/tokens", content=wanted, headers=JSON).json()) == {"token", "expires_at"}
    block = client.post("/contexts/c/blocks", json={}).json()["id"]
    values = {"context_id": "c", "block_id": block, "offset": 0, "text": "x"}
    [shown] = re.findall(r"`POST /texts` \|[^`]*`(.*?)`", PAGE)
    assert re.findall(r'"(\w+)"', shown) == ["pieces", *values]
    assert client.post("/texts", json={"pieces": [values]}).json() == {"answers": [{"length": 1}]}
