"""A process that ends without closing its store, in one of the ways in which processes end."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from children import arguments, say

from chatstore import AsyncChatStore, ChatStore

path = arguments()["path"]
way = arguments()["way"]


async def open_async() -> AsyncChatStore:
    store = AsyncChatStore(path)
    await store.history("a").append_user_message("hello")
    await store.history("a").get_messages()
    return store


async def follow_async(store: AsyncChatStore, started: asyncio.Event) -> None:
    async for _ in store.history("a").subscribe():
        started.set()


async def leave_running() -> AsyncChatStore:
    store, started = await open_async(), asyncio.Event()
    task = asyncio.create_task(follow_async(store, started), name="subscriber")
    await started.wait()
    assert not task.done()
    return store


def follow(store: ChatStore, started: threading.Event) -> None:
    for _ in store.history("a").subscribe():
        started.set()


def main() -> None:
    if way == "event loop closed":
        loop = asyncio.new_event_loop()
        globals()["kept"] = loop.run_until_complete(open_async())
        loop.close()
    elif way == "async subscriber left running":
        globals()["kept"] = asyncio.run(leave_running())
    elif way == "subscription never awaited":
        globals()["kept"] = asyncio.run(open_async()).history("a").subscribe()
    else:
        end_sync()
    say(time.monotonic())


def end_sync() -> None:
    store = globals()["kept"] = ChatStore(path)
    store.history("a").append_user_message("hello")
    assert store.history("a").count()
    if way == "subscriber in a daemon thread":
        started = threading.Event()
        threading.Thread(target=follow, args=(store, started), daemon=True).start()
        started.wait()
    elif way == "subscription never iterated":
        globals()["subscription"] = store.history("a").subscribe()
    elif way == "sys.exit":
        say(time.monotonic())
        sys.exit(3)
    elif way == "exception":
        say(time.monotonic())
        raise RuntimeError("on purpose")


if __name__ == "__main__":
    main()
