"""A process that follows histories and keeps every change it handled, with its cursor, in a file.

It says "begun" and follows to the end of all blocks. With `kills`, it is a nursery: for each line it hears it forks
a follower that opens the store anew and resumes behind what the file holds, and kills it after as many seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from chatstore import AsyncChatStore, BlockClosed, Change, ChatStore
from growing.processes import arguments, heard, say
from growing.record import Record, read


class Ending:
    """When a history has been seen whole: all its blocks were added, and have ended."""

    def __init__(self, blocks: int, record: str, context_id: str) -> None:
        self.left = blocks
        self.after: str | None = None
        for handled in read(record):
            if handled.context_id == context_id:
                self.after = handled.cursor
                self.left -= handled.what == "BlockClosed"

    def sees(self, change: Change) -> bool:
        """Takes a change; whether that was the last."""
        self.left -= isinstance(change, BlockClosed)
        return not self.left


def follow(store: ChatStore, context_id: str, ending: Ending, record: Record) -> None:
    with store.history(context_id).subscribe(after=ending.after) as changes:
        for change in changes if ending.left else ():
            record.note(change)
            if ending.sees(change):
                return


async def follow_async(store: AsyncChatStore, context_id: str, ending: Ending, record: Record) -> None:
    if ending.left:
        async with store.history(context_id).subscribe(after=ending.after) as changes:
            async for change in changes:
                record.note(change)
                if ending.sees(change):
                    return


def run(given: Any) -> None:
    """Follows all histories with threads, or on an event loop."""
    endings = {name: Ending(blocks, given["record"], name) for name, blocks in given["blocks"].items()}
    record = Record(given["record"])
    if given["face"] == "async":
        asyncio.run(_run_async(given["path"], endings, record))
    else:
        with ChatStore(given["path"]) as store:
            threads = [threading.Thread(target=follow, args=(store, *one, record)) for one in endings.items()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    record.close()


async def _run_async(path: str, endings: dict[str, Ending], record: Record) -> None:
    async with AsyncChatStore(path) as store, asyncio.TaskGroup() as group:
        for context_id, ending in endings.items():
            group.create_task(follow_async(store, context_id, ending, record))


def nurse(given: Any) -> None:
    """Follows in children that are killed, one after the other; says how many changes each had handled."""
    while (seconds := heard()) is not None:
        before = _size(given["record"])
        child = os.fork()
        if not child:
            _follow_until_killed(given)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        say([os.WIFSIGNALED(status), _size(given["record"]) - before])


def _size(record: str) -> int:
    return Path(record).stat().st_size if Path(record).exists() else 0


def _follow_until_killed(given: Any) -> None:
    try:
        run(given)
        signal.pause()
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    given = arguments()
    say("begun")
    if given["kills"]:
        nurse(given)
    run(given)
    say("ended")


if __name__ == "__main__":
    main()
