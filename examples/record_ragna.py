"""An answer of Ragna about a document, recorded while it is written. Needs no model and no network:

    pip install 'chatstore[ragna]' && python examples/record_ragna.py

`chatstore serve chat.db` gives it to others as Ragna's own API would: GET /contexts/documents/runs/…/lines
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a pydantic that Ragna was written before
    from ragna.core import Assistant, Rag, Source
    from ragna.source_storages import RagnaDemoSourceStorage

from chatstore import AsyncChatStore
from chatstore.recorders.ragna import record

PROMPT = "What is Ragna?"


class Scripted(Assistant):  # type: ignore[misc]
    """Stands for a model; in its place goes any assistant of Ragna."""

    async def answer(self, prompt: str, sources: list[Source]) -> AsyncIterator[str]:
        yield f"As {sources[0].document.name} says, "
        yield "it is a framework "
        yield "for retrieval."


@contextmanager
def about(text: str) -> Iterator[Path]:
    """A document."""
    with tempfile.TemporaryDirectory() as directory:
        document = Path(directory, "ragna.txt")
        document.write_text(text)
        yield document


async def main(path: str = "chat.db") -> None:
    """Asks about a document, and prints what is stored of the answer."""
    async with AsyncChatStore(path) as store:
        history = store.history("documents")
        with about("Ragna is a framework for retrieval augmented generation. " * 3) as document:
            storage = RagnaDemoSourceStorage
            async with Rag().chat(documents=[document], source_storage=storage, assistant=Scripted) as chat:
                answer = await chat.answer(PROMPT, stream=True)
                recording = record(answer, history, prompt=PROMPT, author="ragna")
                print("pieces:", [piece async for piece in recording])  # as if nobody recorded them
        for block in await history.get_messages(run=recording.run_id):
            print(f"{block.index:3} {block.type} {block.role or '':10} {block.author or '':6} {block.text}")
            for source in (block.data or {}).get("sources", ()):
                print("     from", source["document"]["name"], f"({source['num_tokens']} tokens)")
        print("the run is", (await history.get_run(recording.run_id)).state)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
