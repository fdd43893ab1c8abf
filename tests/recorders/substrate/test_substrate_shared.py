"""What every recorder promises, of the events that the real client of Substrate gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from data_support import data_files
from graphs import node, serving, sse
from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder
from recorder_promises import RecorderPromises, Subject
from substrate_events import WHOLE, item

from chatstore import AsyncChatStore, ChatStore
from chatstore.recorders.substrate import record

EXAMPLE = Path(__file__).parents[3] / "examples" / "record_substrate.py"


class TestGraph(RecorderPromises):
    subject = Subject("substrate_events:of_a_graph", begun=2, partial="Windmills ", record=record)


def events_of(body: str) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for line in body.split("\n") if (event := decoder.decode(line)) is not None]


def test_b2_arrays_are_put_together_as_the_node_gives_them(store: ChatStore) -> None:
    """The parallel texts of the captured stream: 0 "a", 1 "x", 0 "b"."""
    [file] = data_files("framework_events/substrate_events.json")
    events = [event["data"] for event in json.loads(file.read_text())["iter"]]
    [*_] = record(events, store.history("c"))
    many = [block for block in store.history("c").get_messages() if block.author == "Multi2"]
    texts = {tuple(block.data["path"]): block.text for block in many}
    assert texts == {("choices", 0, "text"): "ab", ("choices", 1, "text"): "x"}
    assert many[0].data["result"] == {"choices": [{"text": "ab"}, {"text": "x"}]}


async def test_b3_b6_both_kinds_of_clients_give_the_same_events_and_blocks(path: Path) -> None:
    with serving(sse(WHOLE)) as client:
        with ChatStore(path) as store:
            one = [event.data for event in record(client.stream(node()), store.history("one"))]
        async with AsyncChatStore(path) as store:
            history = store.history("other")
            response = await client.async_stream(node())
            other = [event.data async for event in record(response, history)]
    assert one == other == WHOLE
    with ChatStore(path) as store:
        shapes = [
            [(block.type, block.author, block.text, block.data) for block in store.history(name).get_messages()]
            for name in ("one", "other")
        ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("text", ["two\nlines", "a\r\nb", "ends\n"])
def test_b4_events_for_a_page_are_whole_where_the_clients_own_are_not(store: ChatStore, text: str) -> None:
    """Theirs lose what stands behind a line's end in their data; ours are one line of JSON each, with its own id."""
    said = [
        {"object": "node.delta", "node_id": "First", "data": {"choices": item(0, text)}},
        {"object": "graph.result", "data": {}},
    ]
    history = store.history("c")
    with serving(sse(said)) as client:
        recording = record(client.stream(node()), history)
        assert len([*recording]) == 2
    given = b"".join(history.subscribe(run=recording.run_id).sse()).decode()
    events = [event for event in events_of(given) if event.data]
    found = [json.loads(event.data) for event in events]
    texts = {one["block"]["type"]: one["block"]["text"] for one in found if "block" in one}
    assert texts == {"message": text, "result": ""}
    assert len({event.id for event in events}) == len(events)


def test_b4_what_the_client_gives_for_proxying_breaks_at_a_line(store: ChatStore) -> None:
    """Control: pretty-printed JSON of a server is cut by `iter_events`."""
    pretty = b'event: message\ndata: {"object": "graph.result",\ndata: "data": {}}\n\n'
    with serving([pretty]) as client:
        assert [event.data for event in client.stream(node()).iter()] == [{"object": "graph.result", "data": {}}]
        [proxied] = client.stream(node()).iter_events()
    [event] = events_of(proxied)
    with pytest.raises(json.JSONDecodeError):
        json.loads(event.data)


def test_b5_the_other_texts_of_a_node_are_below_its_message(store: ChatStore) -> None:
    history = store.history("c")
    with serving(sse(WHOLE)) as client:
        [*_] = record(client.stream(node()), history)
    message, output = (block for block in history.get_messages() if block.author == "Many")
    assert (message.type, output.type, output.parent_id) == ("message", "output", message.id)


def test_what_is_no_stream_is_an_error_of_the_client_and_a_run_that_failed(store: ChatStore) -> None:
    history = store.history("c")
    with serving([b"no events"]) as client:
        recording = record(client.stream(node()), history)
        assert [*recording] == []
    run = history.get_run(recording.run_id)
    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "StreamTruncated")


def test_the_example_runs(path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1:4] == [
        "  1 message  story    Windmills turn.",
        "  2 message  many     They mill.",
        "  3 output   many     They pump.",
    ]
    assert lines[-2:] == [
        "the person sees: ['Tell me about windmills', 'Windmills turn.', 'They mill.']",
        "the run is completed",
    ]
