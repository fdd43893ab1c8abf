"""An answer as the lines that Ragna's API streams: asked for, followed, broken off where it has no end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_support import DEADLINE, Served, problem

from chatstore import AsyncHistory, ChatStore, History

PROMPT = {"prompt": "Why?", "stream": True}
PIECES = ["Because ", "it ", "is."]


async def at_once(history: AsyncHistory, prompt: str) -> None:
    """It is done before anybody can ask for it."""
    await history.append_assistant_message(f"you said {prompt}")


async def dying(history: AsyncHistory, prompt: str) -> None:
    block = await history.open_message()
    await block.write("par")
    await block.flush()
    raise LookupError("died")


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.iter_lines()]


@pytest.fixture
def store(path: Path, served: Served) -> Iterator[ChatStore]:
    with ChatStore(path) as opened:
        yield opened


@contextmanager
def following(client: httpx.Client, run_id: str, **params: Any) -> Iterator[httpx.Response]:
    with client.stream("GET", f"/contexts/c/runs/{run_id}/lines", params=params) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
        yield answer


def test_an_answer_is_followed_while_it_is_written(client: httpx.Client, store: ChatStore) -> None:
    read = threading.Semaphore(0)

    def agent(history: History, prompt: str) -> None:
        with history.open_message() as block:
            for piece in PIECES:
                block.write(piece)
                block.flush()
                assert read.acquire(timeout=DEADLINE)

    handle = store.submit(agent, "Why?", context="c")
    seen = []
    with following(client, handle.run.id) as answer:
        for line in answer.iter_lines():
            store.history("c").append_assistant_message("of another run")
            seen.append(json.loads(line)["content"])
            read.release()
    assert seen == PIECES


def test_a_run_that_is_over_is_read_from_its_start_by_parameters_of_whoever(
    client: httpx.Client, store: ChatStore
) -> None:
    history = store.history("c")
    with history.run() as run:
        block = history.append_assistant_message(iter(PIECES))
    with following(client, run.id, of_a_proxy="1") as answer:
        [line] = lines_of(answer)
    assert (line["id"], line["content"]) == (block.id, "".join(PIECES))
    with following(client, run.id, end="true") as answer:
        assert [(line["content"], line.get("state")) for line in lines_of(answer)] == [
            ("".join(PIECES), None),
            ("", "completed"),
        ]


def test_a_run_that_failed_is_broken_off_or_says_so(client: httpx.Client, store: ChatStore) -> None:
    history = store.history("c")
    run = history.run()
    with pytest.raises(LookupError), run:
        history.append_assistant_message("par")
        raise LookupError("died")
    with following(client, run.id) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["content"] == "par"
        with pytest.raises(httpx.RemoteProtocolError):
            next(lines)
    with following(client, run.id, end="true") as answer:
        [_, last] = lines_of(answer)
    assert (last["state"], last["error"]) == ("failed", "LookupError: died")


def test_what_was_written_is_read_to_its_end_before_it_is_broken_off(client: httpx.Client, store: ChatStore) -> None:
    history = store.history("c")
    run = history.run()
    with pytest.raises(LookupError), run:
        history.append_assistant_message("x" * 3_000_000)
        raise LookupError("died")
    body = b""
    with following(client, run.id) as answer, pytest.raises(httpx.RemoteProtocolError):
        for piece in answer.iter_raw():
            body += piece
    assert len(json.loads(body)["content"]) == 3_000_000


@pytest.mark.parametrize("end", [False, True])
def test_a_server_that_ends_breaks_off_what_goes_on(serve: Callable[..., Served], path: Path, end: bool) -> None:
    served = serve()
    with ChatStore(path) as store, store.history("c").run() as run:
        store.history("c").append_assistant_message("so far")
        with following(served.client(), run.id, **({"end": "true"} if end else {})) as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines))["content"] == "so far"
            stopping = threading.Thread(target=served.stop)
            stopping.start()
            with pytest.raises(httpx.RemoteProtocolError):
                next(lines)
        stopping.join(DEADLINE)


def test_an_agent_that_is_done_at_once_is_heard(serve: Callable[..., Served]) -> None:
    client = serve(agent=at_once).client()
    for _ in range(20):
        answer = client.post("/chats/c/answer", json=PROMPT)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
        [line] = lines_of(answer)
        assert line["content"] == "you said Why?"
        ui = client.post("/api/chat/c", json={"messages": [{"role": "user", "content": "hi"}]})
        assert "you said hi" in ui.text  # which is no answer of 204


def test_an_agent_that_dies_says_so_where_it_is_asked_to(serve: Callable[..., Served]) -> None:
    client = serve(agent=dying).client()
    answer = client.post("/chats/c/answer", json=PROMPT, params={"end": "true"})
    assert [(line["content"], line.get("state")) for line in lines_of(answer)] == [("par", None), ("", "failed")]
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/chats/c/answer", json=PROMPT)


def test_a_server_without_an_agent_and_what_is_no_prompt_are_refused(client: httpx.Client) -> None:
    problem(client.post("/chats/c/answer", json=PROMPT), 404, "not_found")
    for given in ({"prompt": "Why?"}, {"prompt": "Why?", "stream": False}, {"prompt": 1, "stream": True}, {}):
        problem(client.post("/chats/c/answer", json=given), 422, "invalid_input")
    problem(client.get("/contexts/c/runs/none/lines"), 404, "run_not_found")


def test_it_is_described(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, method in (("/contexts/{context}/runs/{run}/lines", "get"), ("/chats/{context}/answer", "post")):
        assert "application/jsonl" in paths[path][method]["responses"]["200"]["content"]
