"""Waiting for what calls back, on a thread and on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from chatstore.finalizing import answered, finalizes

Until: TypeAlias = Callable[[Callable[[], None]], None]
"""Calls back when what is waited for has happened, from any thread; at once, if it already has."""


def wait(until: Until) -> None:
    """Waits on this thread."""
    if finalizes():
        answered(partial(wait, until))
        return
    event = threading.Event()
    until(event.set)
    event.wait()


async def wait_async(until: Until) -> None:
    """Waits on the event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def call_back() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, future)

    until(call_back)
    await future


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
