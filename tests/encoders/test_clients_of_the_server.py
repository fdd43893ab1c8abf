"""The real clients from npm, at the server itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_checks import check_agui, check_ai_sdk, check_tanstack
from folding import delta_texts
from live_writing import KINDS, half_written
from node_clients import Client, end_clients, installed, run_client
from real_conversations import conversations, write

from chatstore import AsyncChatStore, AsyncHistory, ChatStore
from chatstore.server import Access, create_app
from chatstore.server.serving import Server, listening

pytestmark = pytest.mark.slow

SEVERAL_AGENTS = "who_when_magentic_one.jsonl.gz"
WITHIN = 60.0


async def answer(history: AsyncHistory, prompt: str) -> None:
    async with history.open_message(author="agent") as block:
        for word in f"You said: {prompt}".split(" "):
            await block.write(word + " ")


class Running:
    """A server of a store, open to everybody, with an agent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ear = listening("127.0.0.1", 0)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = f"http://127.0.0.1:{self._ear.getsockname()[1]}"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with AsyncChatStore(self._path) as store:
            self._server = Server(create_app(store, authorize=everybody, agent=answer))
            self.service = self._server.config.app.state.service  # type: ignore[union-attr]
            self._started.set()
            await self._server.serve(sockets=[self._ear])

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(WITHIN)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(WITHIN)

    def cut(self) -> None:
        """Breaks every connection."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for connection in [*self._server.server_state.connections]:
            connection.transport.abort()  # type: ignore[union-attr]

    def wait_for(self, streams: int) -> None:
        """Returns when so many clients read."""
        done, deadline = threading.Event(), WITHIN
        while len(self.service.streams) != streams and deadline > 0:
            done.wait(0.02)
            deadline -= 0.02
        assert len(self.service.streams) == streams


async def everybody() -> Access:
    return Access("anybody", write=True)


@pytest.fixture
def running(store: ChatStore) -> Iterator[Running]:
    installed()
    server = Running(store.path)
    server.start()
    yield server
    end_clients()
    server.stop()


def test_they_read_a_finished_conversation(running: Running, store: ChatStore) -> None:
    history = store.history("c")
    [drafts] = conversations(SEVERAL_AGENTS, 1)
    runs = write(history, drafts[:40])
    blocks = history.get_messages()
    url = f"{running.url}/agui/c"
    check_agui(run_client("agui.mjs", url, "c"), blocks)
    check_agui(run_client("agui.mjs", url, "c", "GET"), blocks)
    check_tanstack(run_client("tanstack.mjs", url, runs[-1]), [b for b in blocks if b.run_id == runs[-1]])
    seen = run_client("durable.mjs", f"{running.url}/v1/stream/ctx/c", "false")
    assert {id: row["text"] for id, row in seen["types"]["block"].items()} == {b.id: b.text for b in blocks}
    seen = run_client("durable.mjs", f"{running.url}/v1/stream/run/c/{runs[0]}", "sse")
    assert seen["streamClosed"]
    assert delta_texts(seen["items"]) == {b.id: b.text for b in blocks if b.run_id == runs[0]}
    assert (
        run_client("ai_sdk.mjs", "7", f"{running.url}/api/chat/c/stream", f"{running.url}/api/chat/c")["message"]
        is None
    )


def test_event_source_goes_on_where_it_was_and_ends_with_the_run(running: Running, store: ChatStore) -> None:
    history = store.history("c")
    texts = [draft.text[:2000] for draft in conversations(SEVERAL_AGENTS, 1)[0][1:5]]
    with half_written(history, KINDS, texts) as (run_id, go_on):
        client = Client("event_source.mjs", f"{running.url}/contexts/c/events?run={run_id}")
        for _ in range(3):
            running.wait_for(1)
            running.cut()
            running.wait_for(0)
        running.wait_for(1)
        go_on()
    seen = client.result()
    assert seen["opened"] >= 4
    changes = seen["events"]
    shown = {one["change"]["block"]["index"]: one["change"]["block"] for one in changes if "block" in one["change"]}
    expected = [block.model_dump(mode="json") for block in history.get_messages() if block.run_id == run_id]
    assert [shown[index]["text"] for index in sorted(shown)] == [block["text"] for block in expected]
    assert [shown[index]["state"] for index in sorted(shown)] == ["closed"] * len(expected)
    ends = [one["name"] for one in changes if one["name"] in ("block_added", "block_closed", "run_ended")]
    assert ends.count("block_added") == len(expected)
    assert ends.count("block_closed") == len(KINDS)
    assert ends.count("run_ended") == 1
    ids = [one["id"] for one in changes]
    assert ids == sorted({*ids})


def test_they_join_a_run_in_the_middle_of_everything(running: Running, store: ChatStore) -> None:
    history = store.history("c")
    texts = [draft.text[:2000] for draft in conversations(SEVERAL_AGENTS, 1)[0][1:5]]
    with half_written(history, KINDS, texts) as (run_id, go_on):
        ag_ui = Client("agui.mjs", f"{running.url}/agui/c", "c", "GET")
        sdks = [Client("ai_sdk.mjs", version, f"{running.url}/api/chat/c/stream") for version in ("6", "7")]
        running.wait_for(3)
        go_on()
    blocks = history.get_messages()
    check_agui(ag_ui.result(), blocks)
    for client in sdks:
        check_ai_sdk(client.result(), blocks)
    rows = run_client("durable.mjs", f"{running.url}/v1/stream/run/c/{run_id}", "sse")
    assert delta_texts(rows["items"]) == {block.id: block.text for block in blocks}
