"""What is written over HTTP: blocks at once, blocks that grow, runs and submissions."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from http_support import Served, append, problem

from chatstore import ChatStore, Limits
from chatstore.server import ServerLimits


def test_one_draft_is_stored_as_one_block(client: httpx.Client) -> None:
    answer = client.post("/contexts/c/messages", json={"role": "user", "text": "Hello"})
    assert answer.status_code == 201
    [block] = answer.json()["blocks"]
    assert (block["index"], block["role"], block["text"], block["state"]) == (0, "user", "Hello", "closed")


def test_several_drafts_are_stored_together_or_not_at_all(client: httpx.Client) -> None:
    drafts = [{"text": "fine"}, {"text": "its parent is not there", "parent": "nobody"}]
    problem(client.post("/contexts/c/messages", json={"drafts": drafts}), 422, "invalid_input")
    assert client.get("/contexts/c/count").json() == {"count": 0}


def test_a_draft_names_an_earlier_one_as_its_parent_by_its_place(client: httpx.Client) -> None:
    drafts = [{"type": "function_call", "data": {"name": "f", "arguments": {}}}, {"parent": 0, "text": "after"}]
    first, second = client.post("/contexts/c/messages", json={"drafts": drafts}).json()["blocks"]
    assert second["parent_id"] == first["id"]


@pytest.mark.parametrize("place", [-1, 0, 1, 10**30])
def test_a_place_that_is_no_earlier_draft_is_refused(client: httpx.Client, place: int) -> None:
    problem(client.post("/contexts/c/messages", json={"drafts": [{"parent": place}]}), 422, "invalid_input")


def test_an_idempotency_key_stores_once(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/contexts/c/messages", json={"text": "once"}, headers=headers)
    again = client.post("/contexts/c/messages", json={"text": "once"}, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert client.get("/contexts/c/count").json() == {"count": 1}


def test_a_key_with_other_content_is_refused(client: httpx.Client) -> None:
    client.post("/contexts/c/messages", json={"text": "once"}, headers={"Idempotency-Key": "k1"})
    other = client.post("/contexts/c/messages", json={"text": "other"}, headers={"Idempotency-Key": "k1"})
    problem(other, 409, "key_conflict")


@pytest.mark.parametrize("quoted", [True, False])
def test_if_match_holds_while_nothing_was_written_behind_the_cursor(client: httpx.Client, quoted: bool) -> None:
    head = client.get("/contexts/c/head").json()["head"]
    headers = {"If-Match": f'"{head}"' if quoted else head}
    assert client.post("/contexts/c/messages", json={"text": "first"}, headers=headers).status_code == 201
    refused = problem(client.post("/contexts/c/messages", json={"text": "late"}, headers=headers), 412, "conflict")
    assert refused["head"] == client.get("/contexts/c/head").json()["head"]


def test_bytes_are_sent_as_base64_and_read_back(client: httpx.Client) -> None:
    content = bytes(range(256))
    part = {"type": "image", "mime_type": "image/png", "content": base64.b64encode(content).decode()}
    [block] = client.post("/contexts/c/messages", json={"parts": [part]}).json()["blocks"]
    [stored] = block["parts"]
    assert "content" not in stored or stored["content"] is None
    answer = client.get(f"/contexts/c/blocks/{block['id']}/parts/{stored['digest']}")
    assert (answer.content, answer.headers["content-type"]) == (content, "image/png")


def test_a_block_grows_by_pieces_at_their_offsets(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={"role": "assistant"}).json()
    assert block["state"] == "open"
    text = f"/contexts/c/blocks/{block['id']}/text"
    assert client.post(text, json={"offset": 0, "text": "Hällo"}).json() == {"length": 5}
    assert client.post(text, json={"offset": 5, "text": " 🌍"}).json() == {"length": 7}
    closed = client.post(f"/contexts/c/blocks/{block['id']}/close", json={"usage": {"tokens": 2}}).json()
    assert (closed["state"], closed["text"], closed["usage"]) == ("closed", "Hällo 🌍", {"tokens": 2})


def test_a_message_that_is_opened_without_a_role_is_the_assistants(client: httpx.Client) -> None:
    for draft, role in (
        ({}, "assistant"),
        ({"author": "me", "type": "message"}, "assistant"),
        ({"role": "user"}, "user"),
        ({"role": None}, None),
        ({"type": "status"}, None),
    ):
        assert client.post("/contexts/c/blocks", json=draft).json()["role"] == role


def test_a_block_that_is_opened_from_afar_has_the_role_that_python_gives(served: Served) -> None:
    with ChatStore(served.url, token=served.token()) as store:
        history = store.history("c")
        with history.open_block("message") as nobodys, history.open_message() as answer:
            assert (nobodys.block.role, answer.block.role) == (None, "assistant")


def test_a_piece_that_is_repeated_is_stored_once(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()
    text = f"/contexts/c/blocks/{block['id']}/text"
    for piece in ({"offset": 0, "text": "one "}, {"offset": 0, "text": "one "}, {"offset": 0, "text": "one two"}):
        answer = client.post(text, json=piece)
    assert answer.json() == {"length": 7}
    assert client.get(f"/contexts/c/blocks/{block['id']}").json()["text"] == "one two"


def test_a_gap_is_refused_and_the_length_is_told(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()
    text = f"/contexts/c/blocks/{block['id']}/text"
    client.post(text, json={"offset": 0, "text": "one"})
    assert problem(client.post(text, json={"offset": 4, "text": "x"}), 409, "offset_conflict")["length"] == 3


def test_a_piece_that_was_refused_for_its_size_leaves_its_place_free(serve: Any) -> None:
    client = serve(store_options={"limits": Limits(block_bytes=10)}).client()
    block = client.post("/contexts/c/blocks", json={}).json()
    text = f"/contexts/c/blocks/{block['id']}/text"
    problem(client.post(text, json={"offset": 0, "text": "x" * 11}), 413, "limit_exceeded")
    assert client.post(text, json={"offset": 0, "text": "fits"}).json() == {"length": 4}
    assert client.get(f"/contexts/c/blocks/{block['id']}").json()["text"] == "fits"


def test_closing_a_block_twice_gives_the_same(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()
    close = f"/contexts/c/blocks/{block['id']}/close"
    assert client.post(close, json={}).json() == client.post(close, json={}).json()
    problem(client.post(close, json={"state": "failed"}), 409, "block_ended")


def test_a_block_that_has_ended_takes_no_text(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()
    client.post(f"/contexts/c/blocks/{block['id']}/close", json={})
    problem(client.post(f"/contexts/c/blocks/{block['id']}/text", json={"offset": 0, "text": "x"}), 409, "block_ended")


@pytest.mark.parametrize("state", ["closed", "failed", "cancelled", "interrupted"])
def test_a_block_ends_in_the_state_that_its_writer_says(client: httpx.Client, state: str) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()
    error = {"error": {"type": "ValueError", "message": "no"}} if state == "failed" else {}
    ended = client.post(f"/contexts/c/blocks/{block['id']}/close", json={"state": state, **error}).json()
    assert ended["state"] == state
    assert client.get(f"/contexts/c/blocks/{block['id']}").json()["state"] == state


def test_what_a_silent_writer_left_open_is_interrupted_after_the_lease(serve: Any) -> None:
    client = serve(limits=ServerLimits(lease=2.0)).client()
    run = client.post("/contexts/c/runs", json={}).json()
    block = client.post("/contexts/c/blocks", json={"run_id": run["id"]}).json()
    params = {"after": block["cursor"], "wait": 30}
    ended = []
    while len(ended) < 2:
        page = client.get("/contexts/c/events", params=params).json()
        ended += [one.get("run", one.get("block"))["state"] for one in page["changes"]]
        params["after"] = page["cursor"]
    assert ended == ["interrupted", "interrupted"]


def test_a_writer_that_renews_keeps_its_block_open(serve: Any) -> None:
    client = serve(limits=ServerLimits(lease=2.0)).client()
    kept = client.post("/contexts/c/blocks", json={}).json()["id"]
    dropped = client.post("/contexts/c/blocks", json={}).json()["id"]
    while client.get(f"/contexts/c/blocks/{dropped}").json()["state"] == "open":
        assert client.post("/leases", json={"blocks": [kept], "runs": []}).json() == {"lost": []}
    assert client.get(f"/contexts/c/blocks/{kept}").json()["state"] == "open"
    assert client.post("/leases", json={"blocks": [kept, dropped]}).json() == {"lost": [dropped]}


def test_tags_and_usage_are_put_on_a_block(client: httpx.Client) -> None:
    [block] = append(client, "c", "text")
    url = f"/contexts/c/blocks/{block['id']}"
    tagged = client.post(f"{url}/tags", json={"tags": [{"kind": "topic", "name": "x:y", "value": [1]}]}).json()
    assert tagged["tags"] == [{"kind": "topic", "name": "x:y", "value": [1]}]
    assert client.put(f"{url}/usage", json={"tokens": 3}).json()["usage"] == {"tokens": 3}
    assert client.get("/contexts/c/messages", params={"tag": "topic:x:y"}).json()["messages"][0]["id"] == block["id"]


def test_a_context_is_tagged(client: httpx.Client) -> None:
    append(client, "c", "text")
    assert client.post("/contexts/c/tags", json={"tags": [{"kind": "topic", "name": "n"}]}).status_code == 204
    assert client.get("/contexts/c").json()["tags"] == [{"kind": "topic", "name": "n", "value": None}]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "interrupted"])
def test_a_run_ends_in_the_state_that_its_worker_says(client: httpx.Client, state: str) -> None:
    run = client.post("/contexts/c/runs", json={}).json()
    assert run["state"] == "running"
    end = f"/contexts/c/runs/{run['id']}/end"
    given: dict[str, Any] = {"state": state, "usage": {"tokens": 1}}
    if state == "failed":
        given["error"] = {"type": "ValueError", "message": "no"}
    ended = client.post(end, json=given).json()
    assert (ended["state"], ended["usage"]) == (state, None if state == "interrupted" else {"tokens": 1})
    assert client.post(end, json=given).json() == ended == client.get(f"/contexts/c/runs/{run['id']}").json()


def test_a_run_that_is_cancelled_refuses_the_writes_of_its_worker(client: httpx.Client) -> None:
    run = client.post("/contexts/c/runs", json={}).json()["id"]
    block = client.post("/contexts/c/blocks", json={"run_id": run}).json()["id"]
    assert client.post(f"/contexts/c/runs/{run}/cancel").json()["state"] == "cancelled"
    late = client.post(f"/contexts/c/blocks/{block}/text", json={"offset": 0, "text": "late"})
    problem(late, 409, "run_cancelled")
    problem(client.post("/contexts/c/messages", json={"run_id": run, "text": "late"}), 409, "run_cancelled")


def test_a_submission_starts_a_run_and_stores_its_message_in_one(client: httpx.Client) -> None:
    made = client.post("/contexts/c/submissions", json={"text": "What time is it?"})
    assert made.status_code == 201
    run, cursor = made.json()["run"], made.json()["cursor"]
    page = client.get("/contexts/c/events", params={"after": cursor, "wait": 0}).json()
    first = page["changes"][0]
    assert (first["change"], first["block"]["text"], first["block"]["run_id"]) == (
        "block_added",
        "What time is it?",
        run["id"],
    )
    assert client.post(f"/contexts/c/runs/{run['id']}/end", json={}).json()["state"] == "completed"


@pytest.mark.parametrize("state", ["failed", "cancelled", "interrupted"])
def test_the_run_of_a_submission_ends_as_its_worker_says(client: httpx.Client, state: str) -> None:
    run = client.post("/contexts/c/submissions", json={"text": "Hi"}).json()["run"]["id"]
    assert client.post(f"/contexts/c/runs/{run}/end", json={"state": state}).json()["state"] == state


def test_an_erased_context_is_gone_for_reads_and_writes(client: httpx.Client) -> None:
    append(client, "c", "secret")
    assert client.delete("/contexts/c").status_code == 204
    problem(client.get("/contexts/c/messages"), 410, "context_erased")
    problem(client.post("/contexts/c/messages", json={"text": "again"}), 410, "context_erased")
    assert client.get("/contexts").json()["contexts"] == []


def test_a_token_is_made_for_less_than_ones_own(served: Served) -> None:
    made = served.client().post("/tokens", json={"context_id": "c", "ttl": 60})
    assert made.status_code == 201
    reader = served.client(made.json()["token"])
    assert reader.get("/contexts/c/count").status_code == 200
    problem(reader.get("/contexts/other/count"), 404, "not_found")
    problem(reader.post("/contexts/c/messages", json={"text": "x"}), 404, "not_found")


def test_other_text_at_characters_that_are_stored_is_refused(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={"role": "assistant"}).json()["id"]
    place = f"/contexts/c/blocks/{block}/text"

    def write(offset: int, text: str) -> httpx.Response:
        return client.post(place, json={"offset": offset, "text": text})

    assert write(0, "hello").json() == {"length": 5}
    assert write(5, " wor").json() == {"length": 9}
    for offset, text in ((0, "HELLO"), (0, "GOODBYE world"), (4, "o  "), (8, "R"), (0, "hello woRx")):
        problem(write(offset, text), 409, "key_conflict")
    together = {"pieces": [{"context_id": "c", "block_id": block, "offset": 3, "text": "XX"}]}
    assert client.post("/texts", json=together).json()["answers"][0]["problem"]["code"] == "key_conflict"
    for offset, text in ((0, "hello"), (0, "hello wor"), (3, "lo w"), (5, " world"), (0, "hello world")):
        assert write(offset, text).status_code == 200
    assert client.post(f"/contexts/c/blocks/{block}/close", json={}).json()["text"] == "hello world"


def test_a_draft_with_a_wrong_field_is_told_of_that_field_alone(client: httpx.Client) -> None:
    wrong = {"role": "user", "content": "as other clients have it"}
    told = problem(client.post("/contexts/c/messages", json=wrong), 422, "invalid_input")["detail"]
    assert "content: there is no such field here" in told
    assert "drafts" not in told and "role" not in told
    told = problem(client.post("/contexts/c/messages", json={"drafts": [wrong]}), 422, "invalid_input")["detail"]
    assert "drafts.0.content: there is no such field here" in told
