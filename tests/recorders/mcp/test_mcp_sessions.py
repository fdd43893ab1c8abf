"""Two sessions of the package's own session manager, over HTTP, with equal request ids: nothing of one reaches the
other. That a naive store leaks is the control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_serving import Steps, Wire, application, said, serving

from chatstore import AsyncChatStore, ChatStore, InvalidInput, UsageError
from chatstore.recorders.mcp import SESSION, ResumableSessionManager, SessionEvents


class NaiveStore(EventStore):
    """By the ids of streams alone, as one would write it."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(
        self, last_event_id: str, send_callback: Callable[[EventMessage], Awaitable[None]]
    ) -> str | None:
        place = int(last_event_id)
        stream_id = self._events[place - 1][0]
        for number, (stream, message) in enumerate(self._events[place:], place + 1):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


async def two_sessions(manager: Any) -> tuple[list[dict[str, str]], list[str], list[str]]:
    """Both call the tool by the id 7; then alice resumes at the beginning of hers, and at one of bob's events."""
    async with serving(application(manager)) as port, httpx.AsyncClient(timeout=30) as client:
        url = f"http://127.0.0.1:{port}/mcp/"
        alice, bob = [await Wire(client, url).begin() for _ in range(2)]
        hers, his = await alice.call(7, "alice"), await bob.call(7, "bob")
        assert said(hers) == ["alice-1", "alice-2", "alice-3", "alice is done"]
        assert said(his) == ["bob-1", "bob-2", "bob-3", "bob is done"]
        return hers, said(await alice.resume(hers[0]["id"])), said(await alice.resume(his[0]["id"]))


async def test_a_naive_store_leaks() -> None:
    _, again, foreign = await two_sessions(
        StreamableHTTPSessionManager(Steps().server._lowlevel_server, event_store=NaiveStore())
    )
    assert "bob is done" in again
    assert "bob is done" in foreign


async def test_each_session_has_its_own_events(async_store: AsyncChatStore) -> None:
    events, again, foreign = await two_sessions(ResumableSessionManager(Steps().server, async_store))
    assert again == ["alice-1", "alice-2", "alice-3", "alice is done"]
    assert foreign == []
    assert len({event["id"] for event in events}) == len(events) == 5  # one is the priming event
    contexts = await async_store.contexts()
    assert len(contexts) == 2
    assert len({(context.keys or {})[SESSION] for context in contexts}) == 2


async def test_every_message_is_an_internal_block(async_store: AsyncChatStore) -> None:
    await two_sessions(ResumableSessionManager(Steps().server, async_store))
    alice, _ = [async_store.history(context.context_id) for context in await async_store.contexts()]
    blocks = await alice.get_messages(types=["mcp_message"])
    assert all(block.internal for block in blocks)
    assert any("alice is done" in block.text for block in blocks)
    assert await alice.get_messages(kind="transcript") == []


async def test_who_gives_one_store_for_all_sessions_is_refused(async_store: AsyncChatStore) -> None:
    with pytest.raises(InvalidInput, match="for each session its own"):
        ResumableSessionManager(Steps().server, async_store, event_store=NaiveStore())


MADE = [lambda store: SessionEvents(store, "x"), lambda store: ResumableSessionManager(None, store)]


@pytest.mark.parametrize("make", MADE)
async def test_a_store_for_threads_is_refused(path: Path, make: Callable[[Any], Any]) -> None:
    with ChatStore(path) as store, pytest.raises(UsageError, match="takes an AsyncChatStore"):
        make(store)
    with pytest.raises(InvalidInput, match="takes an AsyncChatStore, not str"):
        make("chat.db")
    assert make(AsyncChatStore("http://127.0.0.1:1", token="t")) is not None
