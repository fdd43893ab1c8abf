"""A process whose main thread appends while signals interrupt it; other threads and an event loop write beside it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from types import FrameType
from typing import Any

from children import arguments, say

from chatstore import AsyncChatStore, BlockDraft, ChatStore

BATCH = 3
JOIN_SECONDS = 30

Told = list[tuple[int, str, str]]


class Main:
    """What the main thread was told, whatever moment it was interrupted at."""

    def __init__(self, store: ChatStore, interrupts: int) -> None:
        self.history = store.history("interrupted")
        self.interrupts = interrupts
        self.told: Told = []
        self.failures: list[str] = []
        self._numbers = itertools.count()
        self._armed = self._due = False
        signal.signal(signal.SIGINT, self._interrupt)

    def run(self) -> None:
        """Appends until it was interrupted often enough."""
        while self.interrupts:
            try:
                self._armed = True
                while not self._due:
                    self._append()
            except KeyboardInterrupt:
                pass
            except Exception:
                self.failures.append(traceback.format_exc())
                continue
            self._due = False
            self.interrupts -= 1
            say("interrupted")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """As Python's own handler, but never while the last interrupt is being counted."""
        self._due = True
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt

    def _append(self) -> None:
        number = next(self._numbers)
        drafts = [BlockDraft(role="user", text=f"main {number} {part}") for part in range(BATCH)]
        blocks = self.history.append(drafts, key=f"main {number}")
        self.told += [(block.index, block.id, block.text) for block in blocks]


class Neighbour(ABC):
    """Somebody else's writes in the same process, none of which may fail."""

    def __init__(self, name: str, done: threading.Event) -> None:
        self.name = name
        self.done = done
        self.told: Told = []
        self.failures: list[str] = []
        self.thread = threading.Thread(target=self._guard, name=name, daemon=True)

    @abstractmethod
    def run(self) -> None:
        """Writes until it is told to stop."""

    def drafts(self, number: int) -> list[BlockDraft]:
        return [BlockDraft(role="user", text=f"{self.name} {number} {part}") for part in range(BATCH)]

    def note(self, blocks: Any) -> None:
        self.told += [(block.index, block.id, block.text) for block in blocks]

    def _guard(self) -> None:
        try:
            self.run()
        except Exception:
            self.failures.append(traceback.format_exc())


class Thread(Neighbour):
    def __init__(self, name: str, done: threading.Event, store: ChatStore) -> None:
        super().__init__(name, done)
        self.store = store

    def run(self) -> None:
        for number in itertools.count():
            if self.done.wait(0.001):
                return
            self.note(self.store.history("neighbours").append(self.drafts(number)))


class Loop(Neighbour):
    def __init__(self, name: str, done: threading.Event, path: str) -> None:
        super().__init__(name, done)
        self.path = path

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with AsyncChatStore(self.path) as store:
            history = store.history("neighbours")
            for number in itertools.count():
                if self.done.is_set():
                    return
                await asyncio.sleep(0.001)
                self.note(await history.append(self.drafts(number)))


def main() -> None:
    given = arguments()
    done = threading.Event()
    with ChatStore(given["path"]) as store:
        neighbours = [Thread("one", done, store), Thread("two", done, store), Loop("loop", done, given["path"])]
        for neighbour in neighbours:
            neighbour.thread.start()
        appender = Main(store, given["interrupts"])
        say("ready")
        appender.run()
        done.set()
        for neighbour in neighbours:
            neighbour.thread.join(JOIN_SECONDS)
        everyone = [appender, *neighbours]
        say(
            {
                "told": {"interrupted": appender.told, "neighbours": [t for one in neighbours for t in one.told]},
                "failures": [failure for one in everyone for failure in one.failures],
                "stuck": [neighbour.name for neighbour in neighbours if neighbour.thread.is_alive()],
            }
        )
        if any(neighbour.thread.is_alive() for neighbour in neighbours):
            sys.stderr.flush()
            os.abort()  # faulthandler shows where


if __name__ == "__main__":
    main()
