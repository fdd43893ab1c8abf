"""A process that writes while its system calls are recorded, and says what it was told is stored."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from typing import Any

from chatstore import BlockDraft, ChatStore, History, Tag
from faults import processes
from faults.processes import arguments, say

CONTEXTS = ["a", "b", "c"]
ADDED, UPDATED, CLOSED, RUN_ENDED, TEXT = "added", "updated", "closed", "run ended", "text"
_LOG = 'SELECT c.id, h.context_id, c.sequence, c.type, c.block_index, c."offset", c.text'
LOG = f"{_LOG} FROM changes c JOIN histories h ON h.id = c.history_id ORDER BY c.id"


class Writer:
    """Does one thing after the other, at random, and says so once it was told that it is done."""

    def __init__(self, store: ChatStore, rng: random.Random) -> None:
        self.store = store
        self.rng = rng

    def step(self) -> None:
        history = self.store.history(self.rng.choice(CONTEXTS))
        self.rng.choices((self._append, self._stream, self._mark, self._run), (6, 3, 2, 1))[0](history)

    def _append(self, history: History) -> None:
        count = self.rng.randint(1, 4)
        texts = [f"{part}/{count} " + "x" * self.rng.randint(0, 1500) for part in range(count)]
        blocks = history.append([BlockDraft(role="user", text=text) for text in texts])
        for block in blocks:
            _say(history, ADDED, block.index, len(block.text))

    def _stream(self, history: History) -> None:
        with history.open_message() as writer:
            index, length = writer.block.index, 0
            for number in range(self.rng.randint(2, 12)):
                piece = f"token {number} "
                writer.write(piece)
                length += len(piece)
                if self.rng.random() < 0.5:
                    writer.flush()
                    _say(history, TEXT, index, length)
                elif self.rng.random() < 0.3:
                    self._append(self.store.history(self.rng.choice(CONTEXTS)))
        _say(history, CLOSED, index, length)

    def _mark(self, history: History) -> None:
        block = history.append_user_message("to be marked")
        _say(history, ADDED, block.index, len(block.text))
        history.tag(block, Tag(kind="k", name="n"))
        _say(history, UPDATED, block.index, 0)

    def _run(self, history: History) -> None:
        with history.run() as run:
            self._append(history)
        say({"context": history.context_id, "what": RUN_ENDED, "run": run.id})


def _say(history: History, what: str, index: int, length: int) -> None:
    say({"context": history.context_id, "what": what, "index": index, "length": length})


def log(path: str) -> list[Any]:
    """The log of the whole store, entry by entry."""
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(LOG).fetchall()


def main() -> None:
    given = arguments()
    processes.shorten_log(300_000)
    rng = random.Random(given["seed"])
    with ChatStore(given["path"], durability=given["durability"]) as store:
        writer = Writer(store, rng)
        for _ in range(given["steps"]):
            writer.step()
    store = ChatStore(given["path"], durability=given["durability"])
    writer = Writer(store, rng)
    for _ in range(given["steps"]):
        writer.step()
    say({"what": "compacts", "log": log(given["path"])})
    store.compact()
    for _ in range(given["steps"] // 4):
        writer.step()
    os._exit(0)  # no close tidies up


if __name__ == "__main__":
    main()
