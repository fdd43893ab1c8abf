"""Ends of runs that their server cannot store at once, and of blocks whose callers are silent."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
from http_support import DEADLINE, Served, eventually, problem

from chatstore import AsyncChatStore
from chatstore.server.desk import Desk


@contextmanager
def written_by_another(path: Path) -> Iterator[None]:
    """The store's file, while another has its lock for longer than the server waits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def begun(client: httpx.Client) -> str:
    """A run that its caller began by itself."""
    answer = client.post("/contexts/c/runs", json={"id": str(uuid4())})
    return str(answer.json()["id"])


def submitted(client: httpx.Client) -> str:
    """A run that was begun with the message it answers."""
    answer = client.post("/contexts/c/submissions", json={"text": "go"})
    return str(answer.json()["run"]["id"])


@pytest.mark.parametrize("begin", [begun, submitted])
def test_an_end_that_the_database_refused_is_asked_for_again(
    serve: Callable[..., Served], path: Path, begin: Callable[[httpx.Client], str]
) -> None:
    client = serve(store_options={"busy_timeout": 0.1}).client()
    end: dict[str, Any] = {"url": f"/contexts/c/runs/{begin(client)}/end", "json": {"usage": {"tokens": 3}}}
    with written_by_another(path):
        for _ in range(2):
            assert problem(client.post(**end), 503)["retryable"]
    eventually(lambda: client.post(**end).status_code != 503, "the end is stored")
    ended = client.post(**end)
    assert ended.status_code == 200, ended.text
    assert (ended.json()["state"], ended.json()["usage"]) == ("completed", {"tokens": 3})


class Heard(asyncio.Lock):
    """A lock that tells when it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        self.asked.set()
        return await super().acquire()


@pytest.mark.asyncio
async def test_who_is_heard_of_while_others_are_ended_goes_on(async_store: AsyncChatStore) -> None:
    history = async_store.history("c")
    writers = [await history.open_message() for _ in range(2)]
    desk = Desk(lease=1.0)
    for writer in writers:
        desk.open_block(writer)
    silent, alive = (desk.block(writer.block.id, "c") for writer in writers)
    assert silent is not None
    assert alive is not None
    silent.heard = alive.heard = float("-inf")
    lock = silent.lock = Heard()
    async with lock:
        lock.asked.clear()
        await lock.asked.wait()
        assert desk.renew([alive.id], [], lambda _: True) == []
    while desk.block(silent.id, "c"):
        await asyncio.sleep(0)
    assert [block.state for block in await history.get_messages()] == ["interrupted", "open"]
    assert desk.block(alive.id, "c") is alive
    await desk.close()


@pytest.mark.asyncio
async def test_time_in_which_the_server_stood_still_is_no_silence(async_store: AsyncChatStore) -> None:
    history = async_store.history("c")
    block = await history.open_message()
    desk = Desk(lease=0.5)
    desk.open_block(block)
    await asyncio.sleep(0)  # it begins to look each 0.05 s
    time.sleep(1.5)  # as a process does that is stopped, or gets no time
    await asyncio.sleep(0.1)  # it has looked by then, for that was due before
    assert desk.renew([block.block.id], [], lambda _: True) == []
    async with asyncio.timeout(DEADLINE):
        while desk.block(block.block.id, "c"):
            await asyncio.sleep(0.01)
    assert [block.state for block in await history.get_messages()] == ["interrupted"], "silence is one still"
    await desk.close()
