"""A process that fills what room there is, reads and follows meanwhile, and writes on when there is room again."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from chatstore import BlockAdded, BlockDraft, ChatStore, ChatStoreError, History
from faults.processes import arguments, say

TEXT = "x" * 3_000
LAST = "the last"
PATIENCE = 20.0


class Filler:
    """Appends until it is refused, by each of the ways to write."""

    def __init__(self, store: ChatStore) -> None:
        self.store = store
        self.history = store.history("a")
        self.stored: list[tuple[int, str]] = []
        self.streamed = store.history("streamed").open_message()
        self.text = ""

    def fill(self) -> str:
        """Appends ever smaller batches, until not even one block goes in."""
        refused = ""
        for size in (10, 3, 1):
            while True:
                try:
                    self.append(size)
                except ChatStoreError as error:
                    refused = type(error).__name__
                    break
        return refused

    def append(self, size: int) -> None:
        number = len(self.stored)
        drafts = [BlockDraft(role="user", text=f"{number + part} {TEXT}") for part in range(size)]
        blocks = self.history.append(drafts, key=f"{number}-{size}")
        self.stored += [(block.index, block.text) for block in blocks]

    def stream(self) -> str:
        """Writes tokens; once refused, the same text is kept and stored later."""
        refused = ""
        for number in range(200):
            token = f"token {number} {TEXT}"
            self.text += token
            try:
                self.streamed.write(token)
                self.streamed.flush()
            except ChatStoreError as error:
                refused = type(error).__name__
                break
        return refused

    def check_reads(self) -> None:
        blocks = self.history.get_messages()
        assert [(block.index, block.text) for block in blocks] == self.stored
        assert self.history.count() == len(blocks)
        with self.history.subscribe(follow=False) as changes:
            assert sum(isinstance(change, BlockAdded) for change in changes) == len(blocks)


def follow(history: History, seen: list[tuple[int, str]]) -> None:
    """Keeps the blocks that come, until the last."""
    with history.subscribe(timeout=PATIENCE) as changes:
        for change in changes:
            assert isinstance(change, BlockAdded)
            seen.append((change.index, change.block.text))
            if change.block.text == LAST:
                return


def room(given: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    """What takes the room away, and what gives it back."""
    if given["limit"] is None:
        ballast = Path(given["path"]).with_name("ballast")
        return (lambda: None), ballast.unlink
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    return (
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (given["limit"], resource.RLIM_INFINITY)),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited),
    )


def main() -> None:
    given = arguments()
    take, give_back = room(given)
    seen: list[tuple[int, str]] = []
    with ChatStore(given["path"]) as store:
        filler = Filler(store)
        filler.append(3)
        follower = threading.Thread(target=follow, args=(filler.history, seen))
        follower.start()
        take()
        refused = [filler.fill(), filler.stream()]
        filler.check_reads()
        with suppress(ChatStoreError):
            store.compact()
        filler.check_reads()
        full = len(filler.stored)
        give_back()
        filler.streamed.flush()
        filler.append(2)
        last = filler.history.append_user_message(LAST)
        filler.stored.append((last.index, last.text))
        block = filler.streamed.close()
        assert block.text == filler.text
        follower.join(PATIENCE)
        assert seen == filler.stored, "a follower missed something"
        filler.check_reads()
    say({"refused": refused, "when_full": full, "stored": filler.stored, "streamed": filler.text})
    os._exit(0)


if __name__ == "__main__":
    main()
