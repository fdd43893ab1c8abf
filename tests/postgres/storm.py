"""A process that writes under load, and follows what it and others write, while everything around it breaks.

It says what came of each attempt, then that it has written, and in the end what each of its subscribers saw.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "acceptance"))

from attempts import Plan
from children import arguments, say
from writer import _lanes, _run_lane, _run_task

from chatstore import AsyncChatStore, BlockAdded, BlockClosed, Change, ChatStore, TextAppended

END = "the end"


class Sight:
    """What one subscriber sees: `context` None follows the whole store. It leaves at random and goes on at its
    cursor, and is done once it has seen the end of each context."""

    def __init__(self, number: int, context: str | None, contexts: list[str]) -> None:
        self.number = number
        self.context = context
        self.missing = set(contexts if context is None else [context])
        self.random = random.Random(number)
        self.cursor: str | None = None
        self.seen: list[tuple[str, str, str]] = []
        self.wrong: list[str] = []
        self.stretches = 0
        self.ended = 0
        self._texts: dict[str, str] = {}

    def patience(self) -> float:
        self.stretches += 1
        return self.random.choice((0.05, 0.5, 2.0)) if self.number % 2 else 5.0

    def take(self, change: Change) -> None:
        """Notes a change, and whether text stands where it belongs."""
        id = change.block_id if hasattr(change, "block_id") else str(change)
        if isinstance(change, TextAppended):
            known = self._texts.get(id, "")
            if change.offset != len(known):
                self.wrong.append(f"text at {change.offset} of {len(known)} in {id}")
            self._texts[id] = known + change.text
            return
        self.seen.append((change.context_id, type(change).__name__, id))
        if isinstance(change, BlockAdded):
            self._texts[id] = change.block.text
            if change.block.type == END:
                self.missing.discard(change.context_id)
                self.ended = time.monotonic_ns()
        if isinstance(change, BlockClosed) and not change.block.text.startswith(self._texts.get(id, "")):
            self.wrong.append(f"another text than was seen to grow in {id}")

    def report(self) -> dict[str, Any]:
        return {"number": self.number, "context": self.context, "seen": self.seen, "wrong": self.wrong,
                "ended": self.ended, "stretches": self.stretches}  # fmt: skip


def _follow(sight: Sight, store: ChatStore) -> None:
    followed = store if sight.context is None else store.history(sight.context)
    while sight.missing:
        with followed.subscribe(after=sight.cursor, timeout=sight.patience()) as subscription:
            begun, patience = time.monotonic(), sight.patience()
            for change in subscription:
                sight.take(change)
                if not sight.missing or time.monotonic() - begun > patience:
                    break
            sight.cursor = subscription.cursor or sight.cursor


async def _follow_on_a_loop(sight: Sight, store: AsyncChatStore) -> None:
    followed = store if sight.context is None else store.history(sight.context)
    while sight.missing:
        async with followed.subscribe(after=sight.cursor) as subscription:
            try:
                async with asyncio.timeout(sight.patience()):
                    async for change in subscription:
                        sight.take(change)
                        if not sight.missing:
                            break
            except TimeoutError:
                pass
            sight.cursor = subscription.cursor or sight.cursor


def _pieces(name: str, number: int) -> list[str]:
    return [f"{name} streams {number}: ", *(f"token {piece} " for piece in range(20)), "done"]


def _told(context: str, begun: int, block: Any) -> dict[str, Any]:
    stored = [(block.index, block.id, block.text)]
    times = {"begun": begun, "ended": time.monotonic_ns()}
    return {"context": context, "texts": [block.text], "stored": stored, "wanted": None, "got": None, **times}


def _stream(store: ChatStore, given: Any) -> None:
    for number in range(given["streams"]):
        context, begun = given["contexts"][number % len(given["contexts"])], time.monotonic_ns()
        writer = store.history(context).open_block("message", role="assistant")
        for piece in (pieces := _pieces(given["name"], number)):
            writer.write(piece)
        block = writer.close()
        assert block.text == "".join(pieces), block.text
        say(_told(context, begun, block))


async def _stream_on_a_loop(store: AsyncChatStore, given: Any) -> None:
    for number in range(given["streams"]):
        context, begun = given["contexts"][number % len(given["contexts"])], time.monotonic_ns()
        writer = await store.history(context).open_block("message", role="assistant")
        for piece in (pieces := _pieces(given["name"], number)):
            await writer.write(piece)
        block = await writer.close()
        assert block.text == "".join(pieces), block.text
        say(_told(context, begun, block))


def _on_threads(given: Any, lanes: list[tuple[Plan, int]], sights: list[Sight]) -> None:
    with ChatStore(given["path"], wake=given["wake"]) as store:
        following = [threading.Thread(target=_follow, args=(sight, store)) for sight in sights]
        writing = [threading.Thread(target=_run_lane, args=(store, *lane)) for lane in lanes]
        writing.append(threading.Thread(target=_stream, args=(store, given)))
        say("ready")
        input()
        for thread in (*following, *writing):
            thread.start()
        for thread in writing:
            thread.join()
        say("written")
        for thread in following:
            thread.join()


async def _on_a_loop(given: Any, lanes: list[tuple[Plan, int]], sights: list[Sight]) -> None:
    async with AsyncChatStore(given["path"], wake=given["wake"]) as store, asyncio.TaskGroup() as following:
        say("ready")
        await asyncio.to_thread(input)
        for sight in sights:
            following.create_task(_follow_on_a_loop(sight, store))
        async with asyncio.TaskGroup() as writing:
            for lane in lanes:
                writing.create_task(_run_task(store, *lane))
            writing.create_task(_stream_on_a_loop(store, given))
        say("written")


def main() -> None:
    given = arguments()
    sights = [Sight(number, context, given["contexts"]) for number, context in given["subscribers"]]
    lanes = _lanes(given)
    if given["face"] == "sync":
        _on_threads(given, lanes, sights)
    else:
        asyncio.run(_on_a_loop(given, lanes, sights))
    for sight in sights:
        say(sight.report())


if __name__ == "__main__":
    main()
