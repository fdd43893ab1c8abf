"""A process whose disk fails it once, or from some moment on: it says what it was told is stored, and which errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from chatstore import AsyncChatStore, BlockDraft, ChatStore, ChatStoreError
from faults import processes
from faults.forked import give_birth
from faults.processes import say

T = TypeVar("T")
LOG = 12_000
"""Bytes of the log that one append fits into, and two do not."""


class Worker:
    """Does each thing, again if it fails, and reads after every failure."""

    def __init__(self, store: ChatStore, *, patient: bool) -> None:
        self.history = store.history("a")
        self.store = store
        self.patient = patient

    def work(self) -> None:
        for act in (self.append, self.checkpoint, self.compaction, self.stream):
            say({"begins": act.__name__})
            try:
                act(act.__name__)
            except ChatStoreError:  # said already
                assert not self.patient
        say({"begins": "end"})

    def append(self, name: str) -> None:
        drafts = [BlockDraft(role="user", text=f"appended {part}") for part in range(3)]
        self._told(self._try(name, lambda: self.history.append(drafts, key="append")))

    def checkpoint(self, name: str) -> None:
        """An append behind which the log is copied into the database."""
        draft = BlockDraft(role="user", text="before the checkpoint")
        self._told([self._try(name, lambda: self.history.append(draft, key="checkpoint"))])

    def compaction(self, name: str) -> None:
        self._try(name, self.store.compact)

    def stream(self, name: str) -> None:
        """What was written once is never written again: it is kept until the disk takes it."""
        writer = self._try(name, self.history.open_message)
        for number in range(3):
            self._try(name, partial(writer.write, f"token {number} "), again=writer.flush)
            self._try(name, writer.flush)
        self._told([self._try(name, writer.close)])

    def _try(self, name: str, act: Callable[[], T], again: Callable[[], Any] | None = None) -> T:
        try:
            return act()
        except ChatStoreError as error:
            failed(name, error)
            self._read()
            if not self.patient:
                raise
        return cast("T", (again or act)())

    def _read(self) -> None:
        """Reads go on, whatever the disk does with writes."""
        blocks = self.history.get_messages()
        assert [block.index for block in blocks] == list(range(len(blocks)))
        assert self.history.count() == len(blocks)

    def _told(self, blocks: list[Any]) -> None:
        say({"stored": [(block.index, block.text) for block in blocks]})


async def append_on_a_loop(path: str) -> None:
    """An append that is committed by another thread."""
    async with AsyncChatStore(path) as store:
        history = store.history("a")
        drafts = [BlockDraft(role="user", text=f"appended {part}") for part in range(3)]
        say({"begins": "append"})
        try:
            blocks = await history.append(drafts, key="append")
        except ChatStoreError as error:
            failed("append", error)
            assert len(await history.get_messages()) == await history.count()
            blocks = await history.append(drafts, key="append")
        say({"stored": [(block.index, block.text) for block in blocks]})
        say({"begins": "end"})


def failed(name: str, error: ChatStoreError) -> None:
    say({"failed": name, "error": type(error).__name__, "retryable": error.retryable, "message": str(error)})


def opened(path: str, durability: Any) -> ChatStore:
    """A store, once the disk lets it be opened."""
    say({"begins": "opening"})
    try:
        return ChatStore(path, durability=durability)
    except ChatStoreError as error:
        failed("opening", error)
        return ChatStore(path, durability=durability)


def live(given: Any) -> None:
    if given["face"] == "async":
        asyncio.run(append_on_a_loop(given["path"]))
        return
    store = opened(given["path"], given["durability"])
    Worker(store, patient=given["patient"]).work()
    try:
        store.close()
    except ChatStoreError as error:
        failed("close", error)


if __name__ == "__main__":
    processes.shorten_log(LOG)
    give_birth(live)
