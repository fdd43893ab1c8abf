"""The real API of Ragna, asked in this event loop: its application, its database, its schemas."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it is made of
    from ragna.core import Assistant
    from ragna.deploy import Config
    from ragna.deploy._api.core import app
    from ragna.source_storages import RagnaDemoSourceStorage


@asynccontextmanager
async def api(assistant: type[Assistant]) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client of the API, and the id of a chat about one document."""
    with tempfile.TemporaryDirectory() as directory:  # where no test looks for files that are still open: its own are
        async with _asked(Path(directory), assistant) as client:
            yield client, await chat(client, assistant)


@asynccontextmanager
async def _asked(directory: Path, assistant: type[Assistant]) -> AsyncIterator[httpx.AsyncClient]:
    config = Config(local_root=directory, source_storages=[RagnaDemoSourceStorage], assistants=[assistant])
    made = app(config=config, ignore_unavailable_components=False)
    # What an application raises is an answer that is broken off, to who asks over the network.
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ragna") as client:
        given = await client.post("/token", data={"username": "u", "password": "u"})
        client.headers["Authorization"] = f"Bearer {given.json()}"
        yield client


async def chat(client: httpx.AsyncClient, assistant: type[Assistant]) -> str:
    upload = (await client.post("/document", json={"name": "doc.txt"})).json()
    token = {"token": upload["parameters"]["data"]["token"]}
    text = ("Ragna is a RAG orchestration framework. " * 3).encode()
    document = (await client.put("/document", data=token, files={"file": text})).json()
    wanted = {
        "name": "chat",
        "source_storage": RagnaDemoSourceStorage.display_name(),
        "assistant": assistant.display_name(),
        "params": {},
        "documents": [document],
    }
    made: dict[str, Any] = (await client.post("/chats", json=wanted)).raise_for_status().json()
    (await client.post(f"/chats/{made['id']}/prepare")).raise_for_status()
    return str(made["id"])


async def answer(client: httpx.AsyncClient, chat_id: str, *, stream: bool = True) -> bytes:
    """What it answers to "hi", byte by byte."""
    response = await client.post(f"/chats/{chat_id}/answer", json={"prompt": "hi", "stream": stream})
    assert response.status_code == 200
    return response.content
