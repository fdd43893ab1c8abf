"""Answers of the real package about one document, by assistants that are scripted."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ragna_api import answer, api

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it is made of
    from ragna.core import Assistant, Rag, Source
    from ragna.source_storages import RagnaDemoSourceStorage

PIECES = ("Ragna ", "streams ", "chunks")


class Threaded(Assistant):  # type: ignore[misc]
    """Answers from a thread, as a generator does in Ragna."""

    def answer(self, prompt: str, sources: list[Source]) -> Iterator[str]:
        yield from PIECES


class InTheLoop(Assistant):  # type: ignore[misc]
    """Answers in the event loop."""

    async def answer(self, prompt: str, sources: list[Source]) -> AsyncIterator[str]:
        for piece in PIECES:
            yield piece


class Dying(Assistant):  # type: ignore[misc]
    """Breaks off."""

    def answer(self, prompt: str, sources: list[Source]) -> Iterator[str]:
        yield "par"
        raise LookupError("died")


@asynccontextmanager
async def answering(directory: Path, assistant: type[Assistant]) -> AsyncIterator[Any]:
    """The answer to "hi", about one document."""
    document = directory / "doc.txt"
    document.write_text("Ragna is a RAG orchestration framework. " * 3)
    storage = RagnaDemoSourceStorage
    async with Rag().chat(documents=[document], source_storage=storage, assistant=assistant) as chat:
        yield await chat.answer("hi", stream=True)


def lines_of_the_api() -> list[str]:
    """The lines that the real API answers with."""
    return [*_lines()]


@cache
def _lines() -> tuple[str, ...]:
    async def asked() -> bytes:
        async with api(Threaded) as (client, chat):
            return await answer(client, chat)

    with ThreadPoolExecutor(1) as pool:  # an event loop of its own, wherever it is asked for
        return (*pool.submit(asyncio.run, asked()).result().decode().splitlines(),)
