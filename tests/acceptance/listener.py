"""A process that follows one history and says when it saw each block; another that appends at idle moments."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import random
import sys
import time
from pathlib import Path
from typing import Any

from children import arguments, say

from chatstore import AsyncChatStore, ChatStore

CLONE_NEWUSER = 0x10000000
CONTEXT = "idle"


def main() -> None:
    given = arguments()
    if given.get("without_inotify"):
        forbid_inotify()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if given["face"] == "writer":
        write(given)
    elif given["face"] == "sync":
        listen(given)
    else:
        asyncio.run(listen_async(given))


def forbid_inotify() -> None:
    """Enters a user namespace of its own in which the kernel grants no inotify instance, as when all are in use."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) < 0:
        say("no user namespaces here")
        sys.exit()
    Path("/proc/sys/user/max_inotify_instances").write_text("0")


def write(given: Any) -> None:
    rng = random.Random(given["seed"])
    with ChatStore(given["path"]) as store:
        history = store.history(CONTEXT)
        for _ in range(given["appends"]):
            time.sleep(rng.uniform(0, given["longest_pause"]))
            before = time.monotonic_ns()
            block = history.append_user_message("anybody there?")
            say([block.index, before])


def listen(given: Any) -> None:
    with ChatStore(given["path"], wake=given["wake"]) as store:
        subscription = store.history(CONTEXT).subscribe(timeout=30)
        say("ready")
        for _, change in zip(range(given["appends"]), subscription, strict=False):
            say([change.index, time.monotonic_ns()])


async def listen_async(given: Any) -> None:
    async with AsyncChatStore(given["path"], wake=given["wake"]) as store:
        subscription = store.history(CONTEXT).subscribe(timeout=30)
        say("ready")
        for _ in range(given["appends"]):
            change = await anext(subscription)
            say([change.index, time.monotonic_ns()])


if __name__ == "__main__":
    main()
