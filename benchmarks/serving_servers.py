"""The servers of the benchmark `serving`, each in a process of its own: they say where they are, and what they use."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.children import Line
from benchmarks.stores import UNSYNCED
from chatstore import AsyncChatStore

SECRET = "a secret of the benchmarks, and of nothing else"


def serve_chatstore(line: Line, path: str) -> None:
    """The server of this package."""
    from chatstore.server.serving import run

    run(_chatstore(line, path))


async def _chatstore(line: Line, path: str) -> None:
    from chatstore.server import Access, ServerLimits, TokenAuthority, create_app
    from chatstore.server.serving import Server, listening

    async with AsyncChatStore(path, durability=UNSYNCED) as store:
        limits = ServerLimits(streams=20_000, rate=100_000)
        access = Access("benchmark", None, write=True, expires_at=time.time() + 86_400)
        token = TokenAuthority(store, SECRET).make(access)
        server = Server(create_app(store, secret=SECRET, limits=limits))
        ear = listening("127.0.0.1", 0)
        await _told(line, server.serve(sockets=[ear]), {"port": ear.getsockname()[1], "token": token})


def serve_plain(line: Line, path: str) -> None:
    """An application that only sends: a queue for each client."""
    with asyncio.Runner(loop_factory=_config(_plain()).get_loop_factory()) as runner:
        runner.run(_serve_plain(line))


async def _serve_plain(line: Line) -> None:
    from chatstore.server.serving import listening

    ear = listening("127.0.0.1", 0)
    server = uvicorn.Server(_config(_plain()))
    await _told(line, server.serve(sockets=[ear]), {"port": ear.getsockname()[1], "token": "none"})


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(app, log_config=None, access_log=False)


def _plain() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    queues: set[asyncio.Queue[bytes]] = set()

    async def events(request: Request) -> StreamingResponse:
        queue: asyncio.Queue[bytes] = asyncio.Queue()

        async def body() -> AsyncIterator[bytes]:
            queues.add(queue)
            try:
                yield b"retry: 1000\n\n"
                while True:
                    yield await queue.get()
            finally:
                queues.discard(queue)

        return StreamingResponse(body(), media_type="text/event-stream")

    async def append(request: Request) -> JSONResponse:
        given = await request.json()
        if request.path_params["context"] == "live":
            event = f"id: {'0' * 40}\nevent: block_added\ndata: {json.dumps(FILLING | given)}\n\n".encode()
            for queue in queues:
                queue.put_nowait(event)
        return JSONResponse({"blocks": []}, 201)

    posted = Route("/contexts/{context}/messages", append, methods=["POST"])
    return Starlette(routes=[Route("/contexts/{context}/events", events), posted])


FILLING = {"change": "block_added", "context_id": "live", "cursor": "0" * 38, "block": "0" * 400}
"""What makes an event of the plain server as long as one of the other."""


async def _told(line: Line, serving: Coroutine[Any, Any, None], place: dict[str, Any]) -> None:
    """Serves until the benchmark has nothing more to ask."""
    task = asyncio.create_task(serving)
    line.send(place)
    try:
        while True:
            asked = await asyncio.to_thread(line.receive)
            line.send(_resident() if asked == "memory" else (time.monotonic(), time.process_time()))
    except EOFError:
        os._exit(0)  # its clients are still there
    finally:
        task.cancel()


def _resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
