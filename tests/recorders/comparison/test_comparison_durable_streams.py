"""Durable Streams: its own Python client reads a store of ours that is served, and what it cannot do there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from comparing import ANSWER, CONTEXT, QUESTION, TOKENS, die, killed
from durable_streams import DurableStream, DurableStreamError, astream, stream
from served import Host, Served

from chatstore import ChatStore

HERE = "test_comparison_durable_streams"
TIMEOUT = 30.0


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


def _of_context(served: Served) -> str:
    return f"{served.url}/v1/stream/ctx/{CONTEXT}"


def _headers(served: Served) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.token}"}


def _read(served: Served, url: str, **options: Any) -> tuple[list[Any], str]:
    """The messages of a stream, and the offset behind them."""
    with stream(url, headers=_headers(served), timeout=TIMEOUT, **options) as answer:
        return [*answer.iter_json()], answer.offset


async def test_a_client_of_durable_streams_reads_a_context_and_resumes(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with ChatStore(path) as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        async with host.serving(str(path)) as served:
            read, offset = await asyncio.to_thread(_read, served, _of_context(served), live=False)
            store.history(CONTEXT).append_assistant_message(ANSWER)
            more, _ = await asyncio.to_thread(_read, served, _of_context(served), live=False, offset=offset)
        async with host.serving(str(path)) as again:  # the offset is a cursor of the store, and survives its server
            same, _ = await asyncio.to_thread(_read, again, _of_context(again), live=False, offset=offset)
    assert [one["value"]["text"] for one in read] == [QUESTION]
    assert [one["value"]["text"] for one in more] == [ANSWER]
    assert same == more


async def test_a_client_of_durable_streams_follows_the_tokens_of_a_run_to_its_end(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        async with host.serving(str(path)) as served:
            begun, took = threading.Event(), threading.Semaphore(0)
            runs: list[str] = []

            def write() -> None:
                with history.run() as run, history.open_message() as answer:
                    runs.append(run.id)
                    begun.set()
                    for token in TOKENS:
                        answer.write(token)
                        assert took.acquire(timeout=TIMEOUT)  # the next one when the reader has this one

            def follow() -> list[str]:
                assert begun.wait(TIMEOUT)
                url, texts = f"{served.url}/v1/stream/run/{CONTEXT}/{runs[0]}", []
                with stream(url, headers=_headers(served), live="sse", offset="-1", timeout=TIMEOUT) as answer:
                    for message in answer.iter_json():
                        if message["type"] == "delta":
                            texts.append(message["value"]["text"])
                            took.release()
                return texts

            texts, _ = await asyncio.gather(asyncio.to_thread(follow), asyncio.to_thread(write))
    assert texts == [*TOKENS]


def die_half_way(path: str) -> None:
    history = ChatStore(path).history(CONTEXT)
    with history.run(), history.open_message() as answer:
        answer.write(TOKENS[0])
        answer.flush()
        die()


async def test_the_stream_of_a_run_whose_writer_was_killed_is_closed(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    killed(f"{HERE}:die_half_way", path)
    with ChatStore(path) as store:
        run = store.history(CONTEXT).runs()[0]
    async with host.serving(str(path)) as served:
        url = f"{served.url}/v1/stream/run/{CONTEXT}/{run.id}"
        # It ends, or the client would wait.
        read, _ = await asyncio.to_thread(_read, served, url, live="sse", offset="-1")
    assert read[-1]["value"]["state"] == "interrupted"


async def test_a_client_of_durable_streams_cannot_write_to_a_store_of_ours(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with ChatStore(path) as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        async with host.serving(str(path)) as served:
            options: Any = {"headers": _headers(served), "content_type": "application/json", "timeout": TIMEOUT}

            def append() -> None:
                with DurableStream(_of_context(served), batching=False, **options) as handle:
                    handle.append({"text": ANSWER})

            def create() -> None:
                DurableStream.create(f"{served.url}/v1/stream/ctx/other", **options)

            for refused in (append, create):
                with pytest.raises(DurableStreamError):
                    await asyncio.to_thread(refused)
        assert store.history(CONTEXT).count() == 1


async def test_the_client_of_durable_streams_is_there_for_threads_and_event_loops(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with ChatStore(path) as store:
        store.history(CONTEXT).append_user_message(QUESTION)
    async with host.serving(str(path)) as served:
        read, _ = await asyncio.to_thread(_read, served, _of_context(served), live=False)
        async with astream(_of_context(served), headers=_headers(served), live=False) as answer:
            assert [one async for one in answer.iter_json()] == read


async def test_what_a_store_of_ours_answers_is_not_for_caches(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with ChatStore(path) as store:
        store.history(CONTEXT).append_user_message(QUESTION)
    async with host.serving(str(path)) as served, httpx.AsyncClient(headers=_headers(served)) as client:
        answer = await client.get(_of_context(served), params={"offset": "-1"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store" and "etag" not in answer.headers
