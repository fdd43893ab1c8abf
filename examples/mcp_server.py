"""A server of the Model Context Protocol whose clients resume where their connection was cut.

    pip install 'chatstore[mcp]' && python examples/mcp_server.py

The tool cuts the connection of its caller in the middle; the package's own client comes back and misses nothing.
Afterwards this prints what was stored.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from starlette.applications import Starlette
from starlette.routing import Mount

from chatstore import AsyncChatStore
from chatstore.recorders.mcp import MESSAGE, ResumableSessionManager

server = MCPServer("sums", log_level="WARNING")


@server.tool()
async def add(numbers: list[int], ctx: Context) -> str:
    """Adds numbers, one after the other."""
    total = 0
    for place, number in enumerate(numbers, 1):
        total += number
        await ctx.report_progress(place, len(numbers), f"so far {total}")
        if place == 2:
            await ctx.close_sse_stream()  # as a proxy does that has enough
    return f"the sum is {total}"


def application(store: AsyncChatStore) -> Starlette:
    """The server at /mcp: what any program of ASGI runs."""
    manager = ResumableSessionManager(server, store, retry_interval=10)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=lifespan)


async def call(url: str) -> None:
    """Calls the tool, as any client does."""

    async def show(_: float, __: float | None, message: str | None) -> None:
        print("progress:", message)

    async with streamable_http_client(url) as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        result = await session.call_tool("add", {"numbers": [1, 2, 3]}, progress_callback=show)
        print("result:", result.content[0].text)


async def main(path: str = "chat.db") -> None:
    """Serves, calls, and prints what is stored."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with AsyncChatStore(path) as store:
            config = uvicorn.Config(application(store), log_level="warning", ws="none", timeout_graceful_shutdown=1)
            http = uvicorn.Server(config)
            serving = asyncio.create_task(http.serve(sockets=[listener]))
            await call(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp/")
            http.should_exit = True
            await serving
            [session] = await store.contexts()
            for block in await store.history(session.context_id).get_messages(types=[MESSAGE]):
                message = json.loads(block.text)
                print(f"{block.index:3} stream {block.data['stream']:12} {message.get('method', 'result')}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
