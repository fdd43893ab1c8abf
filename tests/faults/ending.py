"""What processes have in common that end without closing their store."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from chatstore import AsyncChatStore, Block, ChatStore
from faults.processes import arguments, say

kept: list[Any] = []
"""What is alive until the very end."""


def opened() -> ChatStore:
    """A store that was written to and read, and is never closed."""
    store = ChatStore(arguments()["path"])
    kept.append(store)
    told(store.history("a").append_user_message("hello"))
    assert store.history("a").count()
    return store


async def opened_async() -> AsyncChatStore:
    """The same for an event loop."""
    store = AsyncChatStore(arguments()["path"])
    kept.append(store)
    told(await store.history("a").append_user_message("hello"))
    await store.history("a").get_messages()
    return store


def told(block: Block) -> None:
    """Says what is stored."""
    say({"stored": [block.index, block.text]})


def go() -> None:
    """Waits until it is told to end."""
    say("ready")
    sys.stdin.readline()


def interrupt() -> None:
    """Ctrl-C, from another thread."""
    go()
    os.kill(os.getpid(), signal.SIGINT)
