"""Ways for a process to end without closing a store that an event loop uses."""

from __future__ import annotations

import asyncio
import threading

from faults.ending import go, interrupt, kept, opened_async


def loop_closed() -> None:
    """The event loop of a store is closed before the process ends."""
    loop = asyncio.new_event_loop()
    kept.append(loop.run_until_complete(opened_async()))
    loop.close()
    go()


def loop_never_closed() -> None:
    loop = asyncio.new_event_loop()
    kept.extend([loop, loop.run_until_complete(opened_async())])
    go()
    loop.close()


def never_awaited() -> None:
    """A subscription of an event loop that nobody iterates."""
    kept.append(asyncio.run(opened_async()).history("a").subscribe())
    go()


def task_running() -> None:
    """A task follows when its loop ends."""

    async def main() -> None:
        store = await opened_async()
        started = asyncio.Event()

        async def follow() -> None:
            async for _ in store.history("a").subscribe():
                started.set()

        kept.append(asyncio.create_task(follow()))
        await started.wait()
        go()

    asyncio.run(main())


def pending_append() -> None:
    """Appends are on their way when their loop ends."""

    async def main() -> None:
        store = await opened_async()
        for number in range(50):
            kept.append(asyncio.create_task(store.history("a").append_user_message(f"pending {number}")))
        await asyncio.sleep(0)
        go()

    asyncio.run(main())


def async_block() -> None:
    """A block of an event loop is open, with text on its way."""

    async def main() -> None:
        block = await (await opened_async()).history("a").open_message()
        kept.append(block)
        await block.write("text")
        go()

    asyncio.run(main())


def loop_interrupted() -> None:
    """Ctrl-C in an event loop that follows and streams."""

    async def main() -> None:
        history = (await opened_async()).history("a")
        async with history.open_message() as block:
            async for _ in history.subscribe():
                if not kept[1:]:
                    kept.append(threading.Thread(target=interrupt, daemon=True))
                    kept[-1].start()
                await block.write("text ")

    asyncio.run(main())
