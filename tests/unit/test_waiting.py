"""Waiting on an event loop for what calls back from a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from chatstore.writing.waiting import wait_async


def test_it_ends_with_the_call_from_another_thread() -> None:
    asyncio.run(asyncio.wait_for(wait_async(lambda notify: threading.Thread(target=notify).start()), 20))


def test_a_call_after_the_event_loop_closed_raises_nothing_where_it_comes_from() -> None:
    # It comes from the thread that commits the text of all open blocks: the others would be left in the middle.
    waiting: list[Callable[[], None]] = []

    async def give_up() -> None:
        task = asyncio.ensure_future(wait_async(waiting.append))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(give_up())
    [call_back] = waiting
    call_back()
