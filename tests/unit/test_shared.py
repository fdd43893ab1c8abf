"""Reads of many subscribers at the same place: one for all who have asked when it begins."""

from __future__ import annotations

import asyncio
import gc

import pytest

from chatstore.live.shared import Shared


class Log:
    """Something that is read, which takes until it is let go."""

    def __init__(self) -> None:
        self.reads = self.written = 0
        self.let = asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        found = self.written
        await self.let.wait()
        return found


async def test_all_who_ask_before_a_read_begins_are_given_it() -> None:
    log, shared = Log(), Shared[int]()
    log.let.set()
    assert await asyncio.gather(*(shared.read("a", log.read) for _ in range(100))) == [0] * 100
    assert log.reads == 1


async def test_who_asks_later_is_given_what_was_written_before_it_asked() -> None:
    log, shared = Log(), Shared[int]()
    first = asyncio.create_task(shared.read("a", log.read))
    while not log.reads:
        await asyncio.sleep(0)
    log.written = 1
    others = [asyncio.create_task(shared.read("a", log.read)) for _ in range(100)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert log.reads == 1, "the next begins when this one has ended"
    log.let.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [1] * 100
    assert log.reads == 2


async def test_a_reader_that_is_cancelled_takes_nothing_from_the_others() -> None:
    log, shared = Log(), Shared[int]()
    tasks = [asyncio.create_task(shared.read("a", log.read)) for _ in range(3)]
    while not log.reads:
        await asyncio.sleep(0)
    tasks[0].cancel()
    log.let.set()
    assert await asyncio.gather(*tasks[1:]) == [0, 0]
    assert not shared._going_on
    assert not shared._next


async def test_an_error_is_that_of_all_who_asked_and_the_next_read_is_tried() -> None:
    shared = Shared[int]()

    async def fail() -> int:
        raise OSError("no")

    for _ in range(2):
        found = await asyncio.gather(*(shared.read("a", fail) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in found] == [OSError] * 3
    with pytest.raises(OSError, match="no"):
        await shared.read("a", fail)


async def test_an_error_is_not_that_of_who_asked_while_it_was_read() -> None:
    shared, begun, let = Shared[int](), asyncio.Event(), asyncio.Event()

    async def fail() -> int:
        begun.set()
        await let.wait()
        raise OSError("no")

    async def succeed() -> int:
        return 1

    first = asyncio.create_task(shared.read("a", fail))
    await begun.wait()
    second = asyncio.create_task(shared.read("a", succeed))
    await asyncio.sleep(0)
    let.set()
    assert await second == 1
    with pytest.raises(OSError, match="no"):
        await first


@pytest.mark.parametrize("cancelled", [False, True])
async def test_how_a_read_ends_that_nobody_waits_for_any_more_disturbs_nobody(cancelled: bool) -> None:
    shared, begun, let = Shared[int](), asyncio.Event(), asyncio.Event()
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))

    async def fail() -> int:
        begun.set()
        await let.wait()
        raise OSError("no")

    reader = asyncio.create_task(shared.read("a", fail))
    await begun.wait()
    [reading] = shared._going_on.values()
    reader.cancel()
    await asyncio.wait([reader])
    reading.cancel() if cancelled else let.set()
    await asyncio.wait([reading])
    await asyncio.sleep(0)
    assert not shared._going_on
    del reading, reader
    gc.collect()
    assert unheard == []
