"""Waiting for what calls back from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from chatstore.writing.waiting import wait, wait_async


@pytest.mark.parametrize("times", [1, 2])
async def test_a_loop_goes_on_however_often_and_from_where_it_is_called_back(times: int) -> None:
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))

    def until(call_back: Callable[[], None]) -> None:
        threads = [threading.Thread(target=call_back) for _ in range(times)]
        for thread in threads:
            thread.start()
            thread.join()

    await asyncio.wait_for(wait_async(until), 20)
    await asyncio.sleep(0)
    assert unheard == []


async def test_who_is_called_back_after_it_was_cancelled_is_not_disturbed() -> None:
    unheard, calls = list[str](), list[Callable[[], None]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))
    waiting = asyncio.create_task(wait_async(calls.append))
    while not calls:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    calls[0]()
    await asyncio.sleep(0)
    assert (unheard, waiting.cancelled()) == ([], True)


def test_a_thread_goes_on_when_it_was_so_far_already() -> None:
    wait(lambda call_back: call_back())
