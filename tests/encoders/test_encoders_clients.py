"""The real clients from npm read finished and live conversations, also real ones, and show what is stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client_checks import check_agui, check_ai_sdk, check_tanstack, said_in
from event_server import Served, served
from folding import delta_texts
from live_writing import KINDS, Kind, broken, half_written
from node_clients import Client, end_clients, installed, run_client
from real_conversations import conversations, write, write_all

from chatstore import ChatStore, History
from chatstore.encoders import ui_messages

pytestmark = pytest.mark.slow

WITH_CALLS = "tau_bench_airline_gpt4o.jsonl.gz"
SEVERAL_AGENTS = "who_when_magentic_one.jsonl.gz"
FILES = [WITH_CALLS, SEVERAL_AGENTS, "pydantic_ai_openai_chat.jsonl.gz", "mini_swe_gemini3_swebench_a.jsonl.gz"]
ENDS = {"failed": "error failed", "interrupted": "error interrupted", "cancelled": "cancelled", "completed": "success"}


@pytest.fixture
def server(store: ChatStore) -> Iterator[Served]:
    installed()
    with served(store) as server:
        yield server
        end_clients()


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


@pytest.mark.parametrize("file", FILES)
def test_ag_ui_clients_read_finished_conversations(server: Served, history: History, file: str) -> None:
    [drafts] = conversations(file, 1)
    runs = write(history, drafts[:60])
    blocks = history.get_messages()
    url = f"{server.url}/agui/c"
    clients = [Client("agui.mjs", f"{url}?replay=1", "c", "GET"), Client("agui.mjs", url, "c")]
    for client in clients:
        check_agui(client.result(), blocks)
    check_tanstack(run_client("tanstack.mjs", url, runs[-1]), [b for b in blocks if b.run_id == runs[-1]])
    check_tanstack(run_client("tanstack.mjs", f"{url}?replay=1"), blocks)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("version", ["6", "7"])
def test_the_ai_sdk_reads_finished_conversations(server: Served, history: History, file: str, version: str) -> None:
    [drafts] = conversations(file, 1)
    write(history, drafts[:60])
    api = f"{server.url}/api/chat"
    run = [block.run_id for block in history.get_messages() if block.role == "assistant"][-1]
    seen = run_client("ai_sdk.mjs", version, f"{api}/c/stream?run={run}", f"{api}/c")
    check_ai_sdk(seen, history.get_messages(run=run))
    assert seen["history"]["valid"], seen["history"]["error"]
    [loaded] = [message for message in ui_messages(history.get_messages()) if message["id"] == run]
    assert said_in(loaded) == said_in(seen["message"])
    types = [part["type"] for part in seen["message"]["parts"]]
    assert types == [part["type"] for part in loaded["parts"]]
    assert run_client("ai_sdk.mjs", version, f"{api}/c/stream")["message"] is None


@pytest.mark.parametrize("file", FILES)
def test_durable_streams_clients_read_finished_conversations(server: Served, history: History, file: str) -> None:
    [drafts] = conversations(file, 1)
    runs = write(history, drafts[:60])
    blocks = history.get_messages()
    seen = run_client("durable.mjs", f"{server.url}/v1/stream/ctx/c", "false")
    assert {id: row["text"] for id, row in seen["types"]["block"].items()} == {b.id: b.text for b in blocks}
    assert [*seen["types"]["run"]] == runs and seen["upToDate"] and not seen["streamClosed"]
    middle = seen["items"][len(seen["items"]) // 2]["headers"]["offset"]
    rest = run_client("durable.mjs", f"{server.url}/v1/stream/ctx/c", "false", middle)
    assert rest["items"] == seen["items"][len(seen["items"]) // 2 + 1 :]
    seen = run_client("durable.mjs", f"{server.url}/v1/stream/run/c/{runs[0]}", "sse")
    assert seen["streamClosed"]
    assert delta_texts(seen["items"]) == {b.id: b.text for b in blocks if b.run_id == runs[0]}


@pytest.mark.parametrize("how", ENDS)
def test_clients_are_told_how_a_run_ended(server: Served, history: History, how: str) -> None:
    text = conversations(SEVERAL_AGENTS, 1)[0][1].text[:300]
    run_id = broken(history, text, how)
    seen = run_client("agui.mjs", f"{server.url}/agui/c?replay=1", "c", "GET")
    check_agui(seen, history.get_messages())
    assert seen["outcomes"] == [ENDS[how]]
    check_tanstack(run_client("tanstack.mjs", f"{server.url}/agui/c", run_id), history.get_messages())
    for version in ("6", "7"):
        seen = run_client("ai_sdk.mjs", version, f"{server.url}/api/chat/c/stream?run={run_id}")
        assert said_in(seen["message"]) == [text]
        assert bool(seen["errors"]) == (how in ("failed", "interrupted"))


def test_clients_join_a_run_in_the_middle_of_everything(server: Served, history: History) -> None:
    """A message, a reasoning, a call and a status are half written as they come, and go on as they read."""
    texts = [draft.text[:2000] for draft in conversations(SEVERAL_AGENTS, 1)[0][1:5]]
    with half_written(history, KINDS, texts) as (run_id, go_on):
        ag_ui = Client("agui.mjs", f"{server.url}/agui/c?follow={run_id}", "c")
        sdks = [Client("ai_sdk.mjs", version, f"{server.url}/api/chat/c/stream") for version in ("6", "7")]
        rows = Client("durable.mjs", f"{server.url}/v1/stream/run/c/{run_id}", "sse")
        server.wait_for(4)
        go_on()
    blocks = history.get_messages()
    check_agui(ag_ui.result(), blocks)
    for client in sdks:
        check_ai_sdk(client.result(), blocks)
    assert delta_texts(rows.result()["items"]) == {block.id: block.text for block in blocks}


def test_clients_attach_to_a_history_that_is_longer_than_one_of_their_events_may_be(
    server: Served, history: History
) -> None:
    """The longest event that @ag-ui/client takes is of 10 MB; one real message is of 0.9 MB, and here 13 times that."""
    drafts = [draft for drafts in conversations("mini_swe_gemini3_swebench_a.jsonl.gz", 8) for draft in drafts]
    history.append(drafts)
    long = max(drafts, key=lambda draft: len(draft.text)).text
    history.append_assistant_message(long * (11_500_000 // len(long)))
    history.append_user_message("Is that all?")
    url = f"{server.url}/agui/c"
    for client in [Client("agui.mjs", url, "c"), Client("agui.mjs", f"{url}?replay=1", "c", "GET")]:
        check_agui(client.result(), history.get_messages())


# What grows at the same time as a message, TanStack's client shows within that message, and its text twice, also where
# it has read all from the beginning. So one block grows at a time here.
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_client_that_resumes_joins_in_the_middle_of_each(server: Served, history: History, kind: Kind) -> None:
    [text] = [draft.text[:2000] for draft in conversations(SEVERAL_AGENTS, 1)[0][1:2]]
    with half_written(history, [kind], [text]) as (run_id, go_on):
        url = f"{server.url}/agui/c"
        clients = [Client("tanstack.mjs", f"{url}?follow={run_id}"), Client("tanstack.mjs", url, run_id)]
        server.wait_for(2)
        go_on()
    for client in clients:
        check_tanstack(client.result(), history.get_messages())


@pytest.mark.parametrize("cuts", [[1] * 30, [2, 1, 3, 1, 5, 2, 1], [7, 4], [11]], ids=str)
def test_a_client_that_resumes_is_cut_off_and_misses_nothing(server: Served, history: History, cuts: list[int]) -> None:
    [drafts] = conversations(WITH_CALLS, 1)
    server.cuts = [*cuts]
    with history.run() as run:
        client = Client("tanstack.mjs", f"{server.url}/agui/c", run.id)
        server.wait_for(1)
        write_all(history, drafts[1:14], piece=40)
    seen = client.result()
    assert seen["requests"] == len(cuts) + 1
    check_tanstack(seen, history.get_messages())


@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5, 6, 7, 8], [20, 1, 3, 1, 5, 2, 1], [3, 30, 3]], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_client_that_attached_is_cut_off_and_misses_nothing(
    server: Served, history: History, kind: Kind, cuts: list[int]
) -> None:
    [text] = [draft.text[:2000] for draft in conversations(SEVERAL_AGENTS, 1)[0][1:2]]
    with half_written(history, [kind], [text]) as (run_id, go_on):
        server.cuts = [*cuts]
        client = Client("tanstack.mjs", f"{server.url}/agui/c?follow={run_id}")
        server.wait_for(1)
        go_on()
    seen = client.result()
    assert seen["requests"] > 1
    check_tanstack(seen, history.get_messages())
