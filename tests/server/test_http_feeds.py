"""What is followed over HTTP: long polls, JSON Lines, server-sent events and WebSockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from typing import Any

import httpx
import pytest
from http_support import DEADLINE, Served, append, events, eventually, poll
from httpx_sse import EventSource
from websockets.exceptions import ConnectionClosed

from chatstore.server import ServerLimits
from chatstore.server.sockets import Conversation
from chatstore.server.stream import StreamResponse
from chatstore.wire import changes

Serve = Callable[..., Served]


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [change["block"]["text"] for change in found]


def lines(client: httpx.Client, url: str = "/contexts/c/events", **params: Any) -> list[dict[str, Any]]:
    answer = client.get(url, params=params, headers={"Accept": "application/x-ndjson"})
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines() if line]


def test_a_long_poll_gives_what_is_there_at_once(client: httpx.Client) -> None:
    append(client, "c", "one", "two")
    page = poll(client, wait=30)
    assert (texts(page["changes"]), page["more"]) == (["one", "two"], False)
    assert poll(client, after=page["cursor"]) == {"changes": [], "cursor": page["cursor"], "more": False}


def test_a_long_poll_waits_for_what_comes(client: httpx.Client) -> None:
    cursor = append(client, "c", "one")[-1]["cursor"]
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: found.append(poll(client, after=cursor, wait=30)))
    waiting.start()
    append(client, "c", "two")
    waiting.join(DEADLINE)
    assert texts(found[0]["changes"]) == ["two"]


def test_a_long_poll_ends_with_its_time(client: httpx.Client) -> None:
    head = client.get("/contexts/c/head").json()["head"]
    assert poll(client, after=head, wait=0.05)["changes"] == []


def test_pages_of_a_long_poll_say_that_there_is_more(client: httpx.Client) -> None:
    append(client, "c", *map(str, range(5)))
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while (page := poll(client, **params))["more"]:
        seen += texts(page["changes"])
        params["after"] = page["cursor"]
    assert seen + texts(page["changes"]) == [*map(str, range(5))]


def test_json_lines_are_the_changes_one_a_line(client: httpx.Client) -> None:
    append(client, "c", "one", "two")
    assert texts(lines(client, follow=False)) == ["one", "two"]


def test_a_change_on_the_wire_is_the_change_of_the_store(client: httpx.Client) -> None:
    [block] = append(client, "c", "one")
    [change] = lines(client, follow=False)
    assert changes.from_object(change).block.model_dump(mode="json") == block  # type: ignore[union-attr]


def test_every_event_is_ended_by_line_feeds_alone(client: httpx.Client) -> None:
    append(client, "c", "a\rb\nc\r\nd\u2028e\0f")
    raw = client.get("/contexts/c/events", params={"follow": False}).content
    assert b"\r" not in raw
    assert raw.endswith(b"\n\n")
    beat, event, rest = raw.split(b"\n\n")
    assert [line.partition(b":")[0] for line in beat.split(b"\n")] == [b"retry", b"id", b"event", b"data"]
    assert [line.partition(b":")[0] for line in event.split(b"\n")] == [b"id", b"event", b"data"]
    assert not rest


def test_a_stream_begins_with_the_cursor_to_come_back_with(client: httpx.Client) -> None:
    head = client.get("/contexts/c/head").json()["head"]
    for url, params in (("/contexts/c/events", {}), ("/contexts/c/events", {"after": "now"}), ("/events", {})):
        with client.stream("GET", url, params=params) as response:
            first = next(EventSource(response).iter_sse())
        assert (first.event, first.data, first.retry) == ("heartbeat", "", 1000)
        assert url == "/events" or first.id == head
        append(client, "c", "one")
        with events(client, url, headers={"Last-Event-ID": first.id}) as stream:
            assert json.loads(next(stream).data)["block"]["text"] == "one"
        head = client.get("/contexts/c/head").json()["head"]


def test_a_stream_that_was_cut_before_its_first_change_misses_none(client: httpx.Client) -> None:
    append(client, "c", "one")
    with client.stream("GET", "/contexts/c/events", params={"follow": False}) as response:
        first = next(EventSource(response).iter_sse())
    with events(client, "/contexts/c/events", params={"after": first.id}) as stream:
        assert json.loads(next(stream).data)["block"]["text"] == "one"


def test_growing_text_is_left_out_where_it_is_not_wanted(served: Served, client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()["id"]
    for place, text in enumerate("abc"):
        client.post(f"/contexts/c/blocks/{block}/text", json={"offset": place, "text": text})
    client.post(f"/contexts/c/blocks/{block}/close", json={})
    for url in ("/contexts/c/events", "/events"):
        params = {"text": False, "follow": False}
        whole = lines(client, url, **params)
        assert [change["change"] for change in whole] == ["block_added", "block_closed"]
        assert whole[-1]["block"]["text"] == "abc"
        with events(client, url, params=params) as stream:
            assert [event.event for event in stream] == ["block_added", "block_closed"]
        assert client.get(url, params={"text": False, "wait": 0}).json()["changes"] == whole
        with served.socket(f"{url}?text=false&follow=false") as socket:
            assert [json.loads(message) for message in socket] == whole


def test_where_only_text_grew_the_place_moves_on_all_the_same(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={}).json()["id"]
    head = client.get("/contexts/c/head").json()["head"]
    client.post(f"/contexts/c/blocks/{block}/text", json={"offset": 0, "text": "a"})
    params = {"text": False, "follow": False, "after": head}
    assert client.get("/contexts/c/events", params=params).status_code == 204
    page = poll(client, **params)
    assert (page["changes"], page["cursor"] > head) == ([], True)


def test_an_event_has_the_name_of_its_change_and_the_cursor_to_go_on_behind(client: httpx.Client) -> None:
    append(client, "c", "one", "two")
    with events(client, "/contexts/c/events", params={"follow": False}) as stream:
        first, second = stream
    assert (first.event, json.loads(first.data)["block"]["text"]) == ("block_added", "one")
    with events(client, "/contexts/c/events", params={"follow": False, "after": first.id}) as stream:
        assert [event.id for event in stream] == [second.id]


def test_last_event_id_comes_before_after(client: httpx.Client) -> None:
    first, second = append(client, "c", "one", "two")
    params = {"follow": False, "after": second["cursor"]}
    with events(client, "/contexts/c/events", params=params, headers={"Last-Event-ID": first["cursor"]}) as stream:
        assert [event.id for event in stream] == [second["cursor"]]


def test_a_stream_follows_what_is_written(client: httpx.Client) -> None:
    with events(client, "/contexts/c/events") as stream:
        for text in ("one", "two", "three"):
            append(client, "c", text)
            assert json.loads(next(stream).data)["block"]["text"] == text


def test_text_is_followed_while_it_is_written(client: httpx.Client) -> None:
    block = client.post("/contexts/c/blocks", json={"role": "assistant"}).json()
    url = f"/contexts/c/blocks/{block['id']}"
    with events(client, "/contexts/c/events", params={"after": block["cursor"]}) as stream:
        client.post(f"{url}/text", json={"offset": 0, "text": "Hello"})
        piece = json.loads(next(stream).data)
        assert (piece["change"], piece["offset"], piece["text"]) == ("text_appended", 0, "Hello")
        client.post(f"{url}/close", json={})
        assert json.loads(next(stream).data)["block"]["state"] == "closed"


def test_a_heartbeat_carries_the_cursor_and_empty_data(serve: Serve) -> None:
    client = serve(limits=ServerLimits(heartbeat=0.2)).client()
    [block] = append(client, "c", "one")
    with client.stream("GET", "/contexts/c/events", params={"after": block["cursor"]}) as response:
        beat = b""
        for piece in response.iter_raw():
            beat += piece
            if b"heartbeat" in beat:
                break
    assert beat.endswith(f"id: {block['cursor']}\nevent: heartbeat\ndata: \n\n".encode())


def test_heartbeats_never_lead_back_behind_a_change(serve: Serve) -> None:
    client = serve(limits=ServerLimits(heartbeat=0.001)).client()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            append(client, "c", "x")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        with events(
            client, "/contexts/c/events", params={"after": client.get("/contexts/c/head").json()["head"]}
        ) as all:
            last, beats = "", 0
            while beats < 300:
                event = next(all)
                beats += event.event == "heartbeat"
                assert event.id >= last
                last = event.id
    finally:
        stop.set()
        writing.join()


def test_a_finished_feed_answers_204_when_it_is_asked_for_again(client: httpx.Client) -> None:
    [block] = append(client, "c", "one")
    params = {"follow": False, "after": block["cursor"]}
    assert client.get("/contexts/c/events", params=params).status_code == 204


def test_the_feed_of_a_run_ends_with_the_run(client: httpx.Client) -> None:
    run = client.post("/contexts/c/runs", json={}).json()["id"]
    with events(client, "/contexts/c/events", params={"run": run}) as stream:
        assert next(stream).event == "run_started"
        client.post("/contexts/c/messages", json={"text": "of the run", "run_id": run})
        assert next(stream).event == "block_added"
        client.post(f"/contexts/c/runs/{run}/end", json={})
        ended = next(stream)
        assert ended.event == "run_ended"
        assert not [*stream]
    again = client.get("/contexts/c/events", params={"run": run}, headers={"Last-Event-ID": ended.id})
    assert again.status_code == 204


def test_the_feed_of_an_erased_context_ends(client: httpx.Client) -> None:
    append(client, "c", "one")
    with events(client, "/contexts/c/events") as stream:
        assert next(stream).event == "block_added"
        client.delete("/contexts/c")
        erased = next(stream)
        assert erased.event == "history_erased"
        assert not [*stream]
    again = client.get("/contexts/c/events", headers={"Last-Event-ID": erased.id})
    assert (again.status_code, again.content) == (204, b"")


def test_the_whole_store_is_followed_and_filtered_by_context_keys(client: httpx.Client) -> None:
    append(client, "a", "one")
    append(client, "b", "two")
    found = lines(client, "/events", follow=False)
    assert texts(found) == ["one", "two"]
    assert lines(client, "/events", follow=False, key="user:nobody") == []


def test_filters_select_what_is_followed(client: httpx.Client) -> None:
    append(client, "c", "said", role="user")
    append(client, "c", "answered", role="assistant")
    assert texts(lines(client, follow=False, role="assistant")) == ["answered"]
    assert texts(lines(client, follow=False, role=["assistant", "user"])) == ["said", "answered"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_a_stream_ends_when_nothing_came_for_its_timeout(client: httpx.Client, accept: str) -> None:
    append(client, "c", "one")
    answer = client.get("/contexts/c/events", params={"timeout": 0.1}, headers={"Accept": accept})
    assert answer.status_code == 200
    assert b"one" in answer.content


def test_a_web_socket_has_the_same_changes(served: Served, client: httpx.Client) -> None:
    append(client, "c", "one")
    with served.socket("/contexts/c/events") as socket:
        append(client, "c", "two")
        found = [json.loads(socket.recv(DEADLINE)) for _ in range(2)]
    assert texts(found) == ["one", "two"]
    with served.socket("/events?key=user:nobody&follow=false") as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(DEADLINE)
    assert closed.value.rcvd.code == 1000


def test_a_web_socket_goes_on_behind_a_cursor_and_ends_when_caught_up(served: Served, client: httpx.Client) -> None:
    first, _ = append(client, "c", "one", "two")
    with served.socket(f"/contexts/c/events?after={first['cursor']}&follow=false") as socket:
        assert texts([json.loads(message) for message in socket]) == ["two"]


def test_what_a_client_says_to_a_web_socket_does_not_matter(served: Served, client: httpx.Client) -> None:
    with served.socket("/contexts/c/events") as socket:
        socket.send("hello")
        socket.send(b"\0" * 1000)
        append(client, "c", "one")
        assert texts([json.loads(socket.recv(DEADLINE))]) == ["one"]
    eventually(lambda: len(served.service.streams) == 0, "the stream of a client that is gone is kept")


def test_a_web_socket_beats(serve: Serve) -> None:
    served = serve(limits=ServerLimits(heartbeat=0.1))
    head = served.client().get("/contexts/c/head").json()["head"]
    with served.socket("/contexts/c/events") as socket:
        assert json.loads(socket.recv(DEADLINE)) == {"change": "heartbeat", "cursor": head}


@pytest.mark.parametrize("way", ["events", "socket"])
def test_no_heartbeat_leads_behind_a_change_that_was_not_sent_yet(
    serve: Serve, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = threading.Semaphore(0)
    for kind in (StreamResponse, Conversation):
        monkeypatch.setattr(kind, "beat", lambda self, beat=kind.beat: (beat(self), beaten.release())[0])
    served = serve(limits=ServerLimits(heartbeat=0.05))
    client = served.client()
    encoded = served.service.encoded
    encoded._threads.total_tokens = 1
    [first] = append(client, "c", "first")
    in_loop = partial(asyncio.run_coroutine_threadsafe, loop=served.loop)
    in_loop(encoded._threads.acquire_on_behalf_of("the test")).result(DEADLINE)  # what is heavy waits to be encoded
    with following(served, client, way, first["cursor"]) as told:
        [heavy] = append(client, "c", "x" * 100_000)
        eventually(lambda: len(encoded._heavy) > 0, "the change is not sent in this way")
        for _ in range(3):
            assert beaten.acquire(timeout=DEADLINE)
        served.loop.call_soon_threadsafe(encoded._threads.release_on_behalf_of, "the test")
        before = [*takewhile(lambda one: heavy["id"] not in one[1], told)]
    assert {cursor for cursor, _ in before} <= {first["cursor"]}


@contextmanager
def following(served: Served, client: httpx.Client, way: str, after: str) -> Iterator[Iterator[tuple[str, str]]]:
    """The cursor and the text of each thing that is told, signs of life among them."""
    if way == "events":
        with client.stream("GET", "/contexts/c/events", params={"after": after}) as response:
            yield ((event.id, event.data) for event in EventSource(response).iter_sse())
    else:
        with served.socket(f"/contexts/c/events?after={after}") as socket:
            yield ((json.loads(text).get("cursor", ""), str(text)) for text in socket)
