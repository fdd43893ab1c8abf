"""A process that waits for the ends of runs and blocks: one subscription and one reader for each of them.

It hears a list of [context, run, block], says "following" once each follower has seen a change, and then, for each,
[which, place in the list, state, text, when].
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from chatstore import AsyncChatStore, AsyncHistory, BlockClosed, ChatStore, History, RunEnded, TextAppended
from growing.processes import arguments, heard, say

Seen = threading.Semaphore


def read_block(history: History, number: int, block_id: str, seen: Seen) -> None:
    """Reads the text to its end, then the finished block."""
    reader = history.read_block(block_id)
    text = ""
    for piece in reader:
        if not text:
            seen.release()
        text += piece
    at = time.monotonic()
    block = reader.result()
    say(["block", number, block.state, text if text == block.text else f"other than stored: {text}", at])


async def follow_run(history: AsyncHistory, number: int, run_id: str, seen: Seen) -> None:
    """Follows a run until it ends by itself; the text is that of its only block."""
    state, text, grew = "no end", "", False
    async for change in history.subscribe(run=run_id):
        match change:
            case TextAppended():
                text = text[: change.offset] + change.text
                if not grew:
                    grew = True
                    seen.release()
            case BlockClosed():
                text = change.block.text
            case RunEnded():
                state = change.run.state
    say(["run", number, state, text, time.monotonic()])


async def _follow_runs(path: str, runs: list[Any], seen: Seen) -> None:
    async with AsyncChatStore(path) as store, asyncio.TaskGroup() as group:
        for number, (context_id, run_id, _) in enumerate(runs):
            group.create_task(follow_run(store.history(context_id), number, run_id, seen))


def _say_when_all_follow(followers: int, seen: Seen) -> None:
    for _ in range(followers):
        seen.acquire()
    say("following")


def main() -> None:
    given = arguments()
    runs = heard()
    seen = Seen(0)
    with ChatStore(given["path"]) as store:
        threads = [threading.Thread(target=_say_when_all_follow, args=(2 * len(runs), seen))]
        threads += [
            threading.Thread(target=read_block, args=(store.history(context_id), number, block_id, seen))
            for number, (context_id, _, block_id) in enumerate(runs)
        ]
        for thread in threads:
            thread.start()
        asyncio.run(_follow_runs(given["path"], runs, seen))
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
