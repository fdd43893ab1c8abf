"""Stores used where they cannot work: after a fork, and from a second event loop."""

from __future__ import annotations

import asyncio
import textwrap
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from other_processes import FORKING, run

from chatstore import AsyncChatStore, ChatStore, StoreClosed, WrongEventLoop, core

pytestmark = pytest.mark.slow

_FORK = (
    FORKING
    + """
    store = ChatStore(sys.argv[1])
    history = store.history("c")
    block = history.append_user_message("before")
    subscription = history.subscribe()
    next(subscription)
"""
)


@pytest.mark.parametrize(
    "use",
    [
        "history.append_user_message('x')",
        "history.get_messages()",
        "history.head()",
        "history.subscribe()",
        "store.contexts()",
        "history.tag(block, Tag(kind='k', name='n'))",
        "next(subscription)",
    ],
)
def test_a_store_is_refused_in_a_forked_child_and_works_on_in_the_parent(path: Path, use: str) -> None:
    code = textwrap.dedent(_FORK) + textwrap.dedent(
        f"""
        print(child(lambda: {use}))
        history.append_user_message("after")
        print(next(subscription).block.text, history.count())
        store.close()
        """
    )
    assert run(code, path).split("\n") == ["ForkedStore", "after 2"]


@pytest.mark.parametrize(
    "use", ["writer.write('x')", "writer.flush()", "writer.close()", "writer.__exit__(*[None] * 3)"]
)
def test_a_writer_is_refused_in_a_forked_child(path: Path, use: str) -> None:
    code = textwrap.dedent(_FORK) + textwrap.dedent(
        f"""
        writer = history.open_message()
        writer.write("parent")
        print(child(lambda: {use}))
        print(writer.close().text)
        store.close()
        """
    )
    assert run(code, path).split("\n") == ["ForkedStore", "parent"]


def test_a_forked_child_may_not_open_what_its_parent_has_open(path: Path) -> None:
    """SQLite would take the parent's locks for its own, and lose what the child was told is stored."""
    code = textwrap.dedent(_FORK) + textwrap.dedent(
        """
        def work():
            with ChatStore(sys.argv[1] + "-other") as other:
                other.history("c").append_user_message("child")
            return ChatStore(sys.argv[1])
        print(child(work))
        store.close()
        print(child(lambda: ChatStore(sys.argv[1]).history("c").append_user_message("child").index))
        """
    )
    assert run(code, path).split("\n") == ["ForkedStore", "1"]


def test_an_async_store_is_refused_in_a_forked_child(path: Path) -> None:
    code = """
        import asyncio, os, signal, sys
        from chatstore import AsyncChatStore, ForkedStore

        loop = asyncio.new_event_loop()
        history = AsyncChatStore(sys.argv[1]).history("c")
        loop.run_until_complete(history.append_user_message("x"))
        if os.fork() == 0:
            signal.alarm(10)
            for use in (history.append_user_message, history.get_block):
                try:
                    loop.run_until_complete(use("y"))
                    os._exit(1)
                except ForkedStore:
                    pass
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.wait()[1]), loop.run_until_complete(history.count()), flush=True)
        os._exit(0)
    """
    assert run(code, path) == "0 1"


async def _elsewhere(work: Coroutine[Any, Any, object]) -> object:
    """Runs work on an event loop of its own, in another thread, while this one goes on."""
    return await asyncio.to_thread(asyncio.run, work)


async def test_an_async_store_is_refused_on_a_second_event_loop(async_store: AsyncChatStore) -> None:
    history = async_store.history("c")
    block = await history.append_user_message("x")

    async def iterate() -> None:
        async for _ in history.subscribe(follow=False):
            pass

    for use in (
        lambda: history.append_user_message("y"),
        lambda: history.get_messages(),
        lambda: history.get_block(block.id),
        lambda: async_store.contexts(),
        iterate,
    ):
        with pytest.raises(WrongEventLoop):
            await _elsewhere(use())
    assert await history.get_messages() == [block]


async def test_a_subscription_is_refused_on_a_second_event_loop(async_store: AsyncChatStore) -> None:
    history = async_store.history("c")
    await history.append_user_message("x")
    async with history.subscribe() as subscription:
        await anext(subscription)

        async def step() -> object:
            return await asyncio.wait_for(anext(subscription), 5)

        with pytest.raises(WrongEventLoop):
            await _elsewhere(step())


async def test_closing_an_async_store_on_a_second_event_loop_leaves_it_open(async_store: AsyncChatStore) -> None:
    history = async_store.history("c")
    block = await history.append_user_message("x")
    with pytest.raises(WrongEventLoop):
        await _elsewhere(async_store.close())
    assert await history.get_messages() == [block]


def test_one_async_store_for_each_event_loop_of_a_file_works(path: Path) -> None:
    async def write(name: str) -> int:
        async with AsyncChatStore(path) as store:
            for _ in range(20):
                await store.history("c").append_user_message(name)
            return await store.history("c").count()

    counts: list[int] = []
    threads = [threading.Thread(target=lambda n=n: counts.append(asyncio.run(write(str(n))))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(counts) == 80


async def test_a_store_closed_while_it_opens_stays_closed(path: Path) -> None:
    store = AsyncChatStore(path)
    opening = asyncio.ensure_future(store.history("c").append_user_message("x"))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreClosed):
        await opening
    with pytest.raises(StoreClosed):
        await store.history("c").count()


async def test_a_store_whose_opening_is_cancelled_can_be_opened_and_closed(path: Path) -> None:
    store = AsyncChatStore(path)
    for turns in range(4):
        opening = asyncio.ensure_future(store.history("c").count())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    assert await store.history("c").count() == 0
    await store.close()
    assert not core._cores


def test_reading_threads_leave_no_file_open_when_the_store_is_closed_under_them(path: Path) -> None:
    for _ in range(10):
        store = ChatStore(path)
        history = store.history("c")
        history.append_user_message("x")
        started = threading.Barrier(4)
        ended: list[BaseException] = []

        def read(history: Any = history, started: threading.Barrier = started, ended: Any = ended) -> None:
            started.wait()
            try:
                while True:
                    history.get_messages()
            except StoreClosed as error:
                ended.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        store.close()
        for thread in threads:
            thread.join(30)
        assert len(ended) == 3
