"""A server of the protocol over real HTTP, and clients of two kinds: the package's own, and one that shows the wire."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.applications import Starlette
from starlette.routing import Mount

DEADLINE = 30.0
VERSION = "2025-11-25"


class Steps:
    """A server with a tool that says where it is, and waits there for `go` where it is told to."""

    def __init__(self) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.server = MCPServer("steps")
        self.server.add_tool(self.steps)

    async def steps(self, name: str, ctx: Context, wait: bool = False, count: int = 3) -> str:
        """Says `count` steps, and waits before the last."""
        for number in range(1, count + 1):
            if wait and number == count:
                self.reached.set()
                await self.go.wait()
            await ctx.report_progress(number, count, f"{name}-{number}")
        return f"{name} is done"


def application(manager: Any) -> Starlette:
    """The manager's sessions at /mcp."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=lifespan)


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[int]:
    """Serves an application in this loop; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, DEADLINE)
        listener.close()


class Wire:
    """One session, by its requests and the events that come back."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url
        self._headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": VERSION}

    async def begin(self) -> Wire:
        about = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "wire", "version": "1"}}
        request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
        answer = await self._client.post(self._url, json=request, headers=self._headers)
        assert answer.status_code == 200, answer.text
        self._headers["mcp-session-id"] = answer.headers["mcp-session-id"]
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await self._client.post(self._url, json=told, headers=self._headers)).status_code == 202
        return self

    async def call(self, id: int, name: str) -> list[dict[str, str]]:
        """All events of a call of the tool."""
        params = {"name": "steps", "arguments": {"name": name}, "_meta": {"progressToken": id}}
        request = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}
        async with self._client.stream("POST", self._url, json=request, headers=self._headers) as answer:
            return [event async for event in events(answer)]

    async def resume(self, after: str) -> list[dict[str, str]]:
        """What is sent again behind an event, up to the priming event that ends it, or the end of the answer."""
        found = []
        headers = {**self._headers, "last-event-id": after}
        async with (
            asyncio.timeout(DEADLINE),
            self._client.stream("GET", self._url, headers=headers) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            async for event in events(answer):
                if not event.get("data"):
                    break
                found.append(event)
        return found


async def events(answer: httpx.Response) -> AsyncGenerator[dict[str, str]]:
    """The events of an answer, by the fields that they have."""
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, found, value = line.partition(":")
        if found and name:
            event[name] = value.removeprefix(" ")
        elif not line and event:
            yield event
            event = {}


def said(found: list[dict[str, str]]) -> list[str]:
    """What the messages say: the steps, and the result."""
    texts = []
    for event in found:
        if event.get("data"):
            message = json.loads(event["data"])
            params = message.get("params") or {}
            texts.append(params.get("message") or message["result"]["content"][0]["text"])
    return texts
