"""A page that follows a team over HTTP, and loses its connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from recorded import CONTEXT
from scripted_team import agent, says, team
from served import Host

from chatstore import AsyncChatStore
from chatstore.recorders.autogen import record


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


async def events(url: str, token: str, after: str | None) -> AsyncGenerator[ServerSentEvent]:
    headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": after} if after else {})}
    async with (
        httpx.AsyncClient(headers=headers, timeout=30) as client,
        aconnect_sse(client, "GET", f"{url}/contexts/{CONTEXT}/events") as source,
    ):
        async for event in source.aiter_sse():
            if event.data:  # httpx-sse makes an event of a comment too, once there was an id
                yield event


def apply(texts: dict[str, str], event: ServerSentEvent) -> None:
    """What a page makes of an event; fails where something is missing before it."""
    data: dict[str, Any] = json.loads(event.data)
    if event.event == "text_appended":
        assert len(texts[data["block_id"]]) >= data["offset"]
        texts[data["block_id"]] = texts[data["block_id"]][: data["offset"]] + data["text"]
    elif event.event in ("block_added", "block_closed"):
        block = data["block"]
        assert event.event == "block_added" or block["text"].startswith(texts[block["id"]])
        texts[block["id"]] = block["text"]


async def test_a5_it_goes_on_where_it_was_and_misses_nothing(
    path: Path, host: Host, async_store: AsyncChatStore
) -> None:
    history = async_store.history(CONTEXT)
    await history.append_status_message("begins")
    dropped = asyncio.Event()
    chat = team(agent("a", ["one ", "two ", dropped, "three", says("one two three")]), agent("b", "four five APPROVE"))

    async def work() -> None:
        async for _ in record(chat.run_stream(task="go"), history, strict=True):
            pass

    working = asyncio.create_task(work())
    texts: dict[str, str] = {}
    seen: list[str] = []
    async with host.serving(str(path)) as served:
        for most in (4, 10_000):
            async with aclosing(events(served.url, served.token, seen[-1] if seen else None)) as stream:
                async for event in stream:
                    apply(texts, event)
                    seen.append(event.id)
                    if len(seen) >= most or event.event == "run_ended":
                        break
            dropped.set()
    await asyncio.wait_for(working, 30)
    assert seen == sorted({*seen})
    assert texts == {block.id: block.text for block in await history.get_messages()}
