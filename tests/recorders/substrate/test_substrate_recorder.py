"""Streams of the real client of Substrate become blocks of a run, and come out as they are."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from data_support import data_files
from graphs import node, serving, sse

from chatstore import AsyncChatStore, Block, Change, ChatStore, RunCancelled, RunEnded, TextAppended, collect
from chatstore.recorders.substrate import record


def _item(index: int, text: str) -> dict[str, Any]:
    return {"object": "array.item", "index": index, "item": {"text": text}}


GRAPH: list[dict[str, Any]] = [
    {"object": "node.delta", "node_id": "First", "data": {"text": "Wind"}},
    {"object": "node.delta", "node_id": "First", "data": {"text": "mills"}},
    {"object": "node.delta", "node_id": "Many", "data": {"choices": _item(0, "a")}},
    {"object": "node.delta", "nodeId": "Many", "data": {"choices": _item(1, "x")}},
    {"object": "node.delta", "node_id": "Many", "data": {"choices": _item(0, "b")}},
    {"object": "node.result", "node_id": "First", "data": {"text": "Windmills"}},
    {"object": "node.error", "node_id": "Bad", "data": {"type": "invalid_request_error", "message": "nope"}},
    {"object": "node.result", "node_id": "Many", "data": {"choices": [{"text": "ab"}, {"text": "x"}]}},
    {"object": "graph.result", "data": {"First": {"text": "Windmills"}}},
]


def shape(blocks: list[Block]) -> list[tuple[Any, ...]]:
    return [(block.type, block.author, block.state, block.text) for block in blocks]


SHAPE = [
    ("message", "First", "closed", "Windmills"),
    ("message", "Many", "closed", "ab"),
    ("output", "Many", "closed", "x"),
    ("message", "Bad", "failed", ""),
    ("result", None, "closed", ""),
]


def test_nodes_are_messages_and_the_result_of_the_graph_completes_the_run(store: ChatStore) -> None:
    history = store.history("graph")
    with serving(sse(GRAPH)) as client:
        seen = [event.data for event in record(client.stream(node()), history, prompt="windmills?")]
        assert seen == [event.data for event in client.stream(node()).iter()] == GRAPH
    asked, *blocks = history.get_messages()
    assert (asked.role, asked.text) == ("user", "windmills?")
    assert shape(blocks) == SHAPE
    assert [blocks[1].data["result"], blocks[2].data["path"]] == [GRAPH[7]["data"], ["choices", 1, "text"]]
    assert blocks[2].parent_id == blocks[1].id
    assert blocks[3].data["error"]["message"] == "invalid_request_error: nope"
    assert blocks[4].data["result"] == GRAPH[8]["data"]
    assert [run.state for run in history.runs()] == ["completed"]


async def test_an_asynchronous_stream_becomes_the_same(async_store: AsyncChatStore) -> None:
    history = async_store.history("graph")
    with serving(sse(GRAPH)) as client:
        response = await client.async_stream(node())
        assert [event.data async for event in record(response, history)] == GRAPH
    assert shape(await history.get_messages()) == SHAPE
    assert [run.state for run in await history.runs()] == ["completed"]


def test_captured_messages_become_what_their_results_say(store: ChatStore) -> None:
    [file] = data_files("framework_events/substrate_events.json")
    events = [event["data"] for event in json.loads(file.read_text())["iter"]]
    history = store.history("captured")
    assert [*record(events, history)] == events
    nodes = [block for block in history.get_messages() if block.type == "message"]
    assert [(block.state, block.text) for block in nodes] == [("closed", "Windmills"), ("closed", "ab"), ("failed", "")]
    assert [block.data["result"] for block in nodes[:2]] == [events[5]["data"], events[7]["data"]]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (GRAPH[:4], "StreamTruncated"),
        ([*GRAPH[:2], {"object": "node.error", "data": {"message": "overloaded"}}], "StreamFailed"),
    ],
)
def test_a_stream_without_the_result_of_the_graph_has_failed(
    store: ChatStore, messages: list[dict[str, Any]], error: str
) -> None:
    history = store.history("cut")
    with serving(sse(messages)) as client:
        assert len([*record(client.stream(node()), history)]) == len(messages)
    [run] = history.runs()
    assert (run.state, run.error and run.error.type) == ("failed", error)
    first = history.get_messages()[0]
    assert (first.state, first.text) == ("failed", "Windmills")


def test_comments_and_kinds_that_nobody_knows_are_passed_by(store: ChatStore) -> None:
    odd = [b"id: 7\n: still there\n\n", b'event: message\ndata: {"object": "node.new", "node_id": "First"}\n\n']
    history = store.history("odd")
    with serving([*sse(GRAPH[:1]), *odd, b"data: [1]\n\n", *sse(GRAPH[-1:])]) as client:
        assert len([*record(client.stream(node()), history)]) >= 4
    assert [run.state for run in history.runs()] == ["completed"]
    assert shape(history.get_messages())[0] == ("message", "First", "closed", "Wind")


def test_tokens_are_there_while_the_next_are_awaited(store: ChatStore) -> None:
    history, seen = store.history("live"), threading.Semaphore(0)

    def when_seen(number: int) -> None:
        assert number in (0, *range(2, len(GRAPH))) or seen.acquire(timeout=10)

    changes: list[Change] = []
    with serving(sse(GRAPH), before=when_seen) as client, history.subscribe() as subscription:
        recording = record(client.stream(node()), history)
        reader = threading.Thread(target=lambda: [*recording])
        reader.start()
        for change in subscription:
            changes.append(change)
            if isinstance(change, TextAppended):
                seen.release()
            if isinstance(change, RunEnded):
                break
        reader.join(10)
    assert next(change.text for change in changes if isinstance(change, TextAppended)) == "Wind"
    assert shape(collect(changes)) == SHAPE


def test_who_stops_reading_cancels_the_run(store: ChatStore) -> None:
    history = store.history("left")
    with serving(sse(GRAPH)) as client:
        for _ in record(client.stream(node()), history):
            break
    assert [(run.state, block.state) for run, block in zip(history.runs(), history.get_messages(), strict=True)] == [
        ("cancelled", "cancelled")
    ]


def test_a_cancelled_run_ends_the_stream(store: ChatStore) -> None:
    history, cancelled = store.history("stopped"), threading.Event()

    def hold(number: int) -> None:
        assert number < 2 or cancelled.wait(10)

    with serving(sse(GRAPH), before=hold) as client:
        recording = record(client.stream(node()), history)
        next(recording), next(recording)
        history.cancel_run(recording.run_id)
        cancelled.set()
        with pytest.raises(RunCancelled):
            for _ in recording:
                pass
    assert [run.state for run in history.runs()] == ["cancelled"]
    assert shape(history.get_messages()) == [("message", "First", "cancelled", "Windmills")]
