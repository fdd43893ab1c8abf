"""What is asked for in JSON: names that no query can hold, lists of tags, ids that a caller made up."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from http_support import problem

TAG = ["a:b", "ü, &"]


@pytest.fixture
def tagged(client: httpx.Client) -> httpx.Client:
    """A context and a block in it with a tag of such a name."""
    tag = {"kind": TAG[0], "name": TAG[1]}
    client.post("/contexts/c/messages", json={"drafts": [{"text": "one", "tags": [tag]}, {"text": "two"}]})
    client.post("/contexts/c/tags", json={"tags": [tag]})
    client.post("/contexts/other/messages", json={"text": "three"})
    return client


@pytest.mark.parametrize("target", ["/contexts/search", "/contexts/c/messages/search", "/contexts/c/count"])
def test_tags_are_named_by_lists_of_two(tagged: httpx.Client, target: str) -> None:
    answer = tagged.post(target, json={"tags": [TAG]})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.get("count", len(found.get("contexts", found.get("messages", [])))) == 1
    for wrong in ([TAG[0]], [*TAG, "x"], "a:b", [1, 2], [None, "x"]):
        problem(tagged.post(target, json={"tags": [wrong]}), 422, "invalid_input")


def test_streams_are_asked_for_by_tags(tagged: httpx.Client) -> None:
    wanted: dict[str, Any] = {"tags": [TAG], "follow": False}
    for path in ("/contexts/c/events/search", "/events/search"):
        text = tagged.post(path, json=wanted).text
        assert '"one"' in text
        assert "three" not in text


def test_a_run_has_the_id_that_its_caller_made_up(client: httpx.Client) -> None:
    id = str(uuid4())
    assert client.post("/contexts/c/runs", json={"id": id}).json()["id"] == id
    for wrong in ("x", 1, {}, [id]):
        problem(client.post("/contexts/c/runs", json={"id": wrong}), 422, "invalid_input")
