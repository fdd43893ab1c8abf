"""The package's own client and server over real HTTP: a connection is cut while a tool works."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from losing_proxy import LosingProxy
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp_serving import DEADLINE, Steps, application, serving

from chatstore import AsyncChatStore
from chatstore.recorders.mcp import ResumableSessionManager


class Calling:
    """A client that calls the tool, and what it hears meanwhile."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.heard: list[str] = []
        self.two = asyncio.Event()

    async def __call__(self) -> str:
        async with (
            httpx2.AsyncClient(timeout=DEADLINE) as http,
            streamable_http_client(self._url, http_client=http) as (read, write, *_),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            result: Any = await session.call_tool(
                "steps", {"name": "a", "wait": True, "count": 4}, progress_callback=self._progress
            )
            return str(result.content[0].text)

    async def _progress(self, _: float, __: float | None, message: str | None) -> None:
        self.heard.append(str(message))
        if len(self.heard) == 2:
            self.two.set()


@pytest.mark.parametrize("cuts", [1, 2])
async def test_a_client_that_was_cut_off_gets_everything_once(async_store: AsyncChatStore, cuts: int) -> None:
    steps = Steps()
    manager = ResumableSessionManager(steps.server, async_store, retry_interval=10)
    async with asyncio.timeout(2 * DEADLINE), serving(application(manager)) as port:
        with LosingProxy(port) as proxy:
            calling = Calling(f"{proxy.url}/mcp/")
            answer = asyncio.create_task(calling())
            await calling.two.wait()
            await steps.reached.wait()
            for _ in range(cuts):
                proxy.cut()
            steps.go.set()
            assert await answer == "a is done"
    assert calling.heard == ["a-1", "a-2", "a-3", "a-4"]
    [context] = await async_store.contexts()
    kept = [block.text for block in await async_store.history(context.context_id).get_messages(types=["mcp_message"])]
    assert sum("is done" in text for text in kept) == 1
