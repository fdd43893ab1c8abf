"""Writers that are going to be killed: each says what it stored, and goes on until it cannot.

One process starts them, one after the other, by fork: it has imported everything by then, and opened nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
from typing import Any

from children import say

from chatstore import AsyncChatStore, Block, BlockDraft, ChatStore

FACES = ("sync", "async", "streaming", "async streaming")


class Victim:
    """Says the context with what is stored of its blocks: index, id and the beginning of the text, or all of it."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.rng = random.Random(given["seed"])

    def run(self) -> None:
        """Writes by the face it was given, for ever."""
        match self.given["face"]:
            case "sync":
                self.append()
            case "async":
                asyncio.run(self.append_on_a_loop())
            case "streaming":
                self.stream()
            case _:
                asyncio.run(self.stream_on_a_loop())

    def append(self) -> None:
        with ChatStore(self.given["path"], durability=self.given["durability"]) as store:
            for number in itertools.count():
                context, drafts, key = self._batch(number)
                self._told(context, store.history(context).append(drafts, key=key))

    async def append_on_a_loop(self) -> None:
        async with AsyncChatStore(self.given["path"], durability=self.given["durability"]) as store:
            for number in itertools.count():
                context, drafts, key = self._batch(number)
                self._told(context, await store.history(context).append(drafts, key=key))

    def stream(self) -> None:
        with ChatStore(self.given["path"], durability=self.given["durability"]) as store:
            for number in itertools.count():
                context, text = self.rng.choice(self.given["contexts"]), ""
                writer = store.history(context).open_message()
                for token in self._tokens(number):
                    writer.write(token)
                    text += token
                    if self.rng.random() < 0.3:
                        writer.flush()
                        say([context, [(writer.block.index, writer.block.id, text, "open")]])
                self._told(context, [writer.close()])

    async def stream_on_a_loop(self) -> None:
        async with AsyncChatStore(self.given["path"], durability=self.given["durability"]) as store:
            for number in itertools.count():
                context, text = self.rng.choice(self.given["contexts"]), ""
                writer = await store.history(context).open_message()
                for token in self._tokens(number):
                    await writer.write(token)
                    text += token
                    if self.rng.random() < 0.3:
                        await writer.flush()
                        say([context, [(writer.block.index, writer.block.id, text, "open")]])
                self._told(context, [await writer.close()])

    def _batch(self, number: int) -> tuple[str, list[BlockDraft], str]:
        """One to four blocks whose text says how many of them there have to be, and a key."""
        count, name = self.rng.randint(1, 4), self.given["name"]
        texts = [f"{name} {number} {part}/{count}" + "x" * self.rng.randint(0, 300) for part in range(count)]
        drafts = [BlockDraft(role="user", text=text) for text in texts]
        return self.rng.choice(self.given["contexts"]), drafts, f"{name}-{number}"

    def _tokens(self, number: int) -> list[str]:
        name = f"{self.given['name']} {number} "
        return [name, *(f"token {token} " for token in range(self.rng.randint(1, 20)))]

    def _told(self, context: str, blocks: list[Block]) -> None:
        say([context, [(block.index, block.id, block.text, block.state) for block in blocks]])


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            say(os.getpid())
            Victim(json.loads(line)).run()
        _, status = os.waitpid(pid, 0)
        say({"signal": os.WTERMSIG(status)})


if __name__ == "__main__":
    main()
