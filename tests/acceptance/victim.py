"""A writer that is going to be killed: it says what it stored, and goes on until it cannot."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

from children import arguments, say

from chatstore import AsyncChatStore, BlockDraft, ChatStore


def main() -> None:
    given = arguments()
    rng = random.Random(given["seed"])
    if given["face"] == "async":
        asyncio.run(_append_on_a_loop(given, rng))
    with ChatStore(given["path"]) as store:
        for number in itertools.count():
            context, drafts = _drafts(given, rng, number)
            blocks = store.history(context).append(drafts, key=f"{given['name']}-{number}")
            say([context, [(block.index, block.id, block.text) for block in blocks]])


async def _append_on_a_loop(given: Any, rng: random.Random) -> None:
    async with AsyncChatStore(given["path"]) as store:
        for number in itertools.count():
            context, drafts = _drafts(given, rng, number)
            blocks = await store.history(context).append(drafts, key=f"{given['name']}-{number}")
            say([context, [(block.index, block.id, block.text) for block in blocks]])


def _drafts(given: Any, rng: random.Random, number: int) -> tuple[str, list[BlockDraft]]:
    """One to four blocks whose text says how many of them there have to be."""
    count = rng.randint(1, 4)
    texts = [f"{given['name']} {number} {part}/{count}" for part in range(count)]
    return rng.choice(given["contexts"]), [
        BlockDraft(role="user", text=text + "x" * rng.randint(0, 300)) for text in texts
    ]


if __name__ == "__main__":
    main()
