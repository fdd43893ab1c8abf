"""Nothing stays open, and no text that was taken is lost, however a block or a run is left."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest
from held import locked, until
from other_processes import run

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    ChatStore,
    History,
    InvalidInput,
    RunCancelled,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    UsageError,
)
from chatstore.writing import growing


def test_a_run_that_ends_keeps_the_text_of_its_open_blocks(store: ChatStore) -> None:
    history = store.history("c")
    with history.run():
        history.open_message().write("hello")
    [block] = history.get_messages()
    assert (block.state, block.text) == ("closed", "hello")


def test_text_given_while_the_disk_was_busy_is_kept_by_the_end_of_the_run(
    store: ChatStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "PAUSED", 1e9)  # a writer that pauses would wait for the disk
    history = store.history("c")
    tokens = [f"{number} " for number in range(50)]
    with history.run():
        writer = history.open_message()
        with locked(path):
            for token in tokens:
                writer.write(token)
    assert history.get_messages()[0].text == "".join(tokens)


def test_a_stop_in_the_same_process_keeps_what_was_written_before(store: ChatStore) -> None:
    history = store.history("c")
    with pytest.raises(RunCancelled), history.run() as run:
        writer = history.open_message()
        writer.write("a ")
        writer.write("b ")
        history.cancel_run(run.id)
        writer.write("c ")
        writer.flush()
    assert history.get_messages()[0].text == "a b "


def test_a_run_left_in_another_context_ends_and_keeps_the_callers_error(store: ChatStore) -> None:
    history = store.history("c")

    def work() -> Iterator[int]:
        with history.run():
            yield 1
            raise KeyError("mine")

    steps = work()
    next(steps)
    with pytest.raises(KeyError, match="mine"):
        contextvars.copy_context().run(next, steps)
    assert history.runs()[0].state == "failed"
    assert history.append_status_message("after").run_id is None


def test_overlapping_runs_leave_nothing_behind(store: ChatStore, tmp_path: Path) -> None:
    history = store.history("c")
    first, second = history.run(), history.run()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert history.append_status_message("x").run_id == second.id
    second.__exit__(None, None, None)
    assert history.append_status_message("y").run_id is None
    with history.run(), ChatStore(tmp_path / "other.db") as other, other.history("c").run() as inner:
        assert inner.parent_run_id is None


def test_a_block_whose_end_the_disk_refused_is_ended_later(path: Path) -> None:
    with ChatStore(path, busy_timeout=0.05) as store:
        history = store.history("c")
        with pytest.raises(StoreBusy), history.open_message() as writer:
            writer.write("abc")
            writer.flush()
            lock = locked(path)
            lock.__enter__()
        lock.__exit__(None, None, None)
        until(lambda: history.get_messages()[0].state == "closed")
        assert history.get_messages()[0].text == "abc"


def test_an_end_that_is_refused_for_good_is_given_up_and_that_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatStore(path) as store:
        with pytest.raises(StoreDamaged), store.history("c").open_message() as writer:
            writer.write("text")
            writer.flush()
            with closing(sqlite3.connect(path)) as conn:
                conn.execute("UPDATE changes SET text = 'tEXt' WHERE text = 'text'")
                conn.commit()
        until(lambda: bool(caplog.messages))
        assert not store._open().flusher.unfinished
    [said] = caplog.messages
    assert said.startswith("the end of a block or a run is given up")


def test_a_submitted_run_whose_end_the_disk_refused_is_ended_later_and_has_its_result(path: Path) -> None:
    with ChatStore(path, busy_timeout=0.05) as store:
        lock = locked(path)

        def agent(history: History, prompt: str) -> int:
            lock.__enter__()
            return 7

        handle = store.submit(agent, "go", context="c")
        assert handle.result(20) == 7
        assert handle.wait(0.1) is None
        lock.__exit__(None, None, None)
        run = handle.wait(20)
        assert run is not None and run.state == "completed"


@pytest.mark.slow
def test_text_of_a_writer_that_is_dropped_is_stored_once_however_busy_the_disk_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "PAUSED", 1e9)
    with ChatStore(path, busy_timeout=3) as store:
        history = store.history("c")
        writer = history.open_message()
        grown, flusher = writer._growing, store._open().flusher
        with locked(path):
            writer.write("a")
            until(lambda: grown._in_flight == "a")
            grown.add("b")  # while the first piece is on its way
            del writer
            gc.collect()
            until(lambda: bool(flusher.unfinished))
        until(lambda: history.get_messages()[0].state == "interrupted")
        assert history.get_messages()[0].text == "ab"


def test_a_store_that_closes_ends_what_was_opened_through_it(path: Path) -> None:
    with ChatStore(path) as keep:
        with ChatStore(path) as store:
            writer = store.history("c").open_message()
            writer.write("x")
            run = store.history("c").run()
            run.__enter__()
        [block] = keep.history("c").get_messages()
        assert (block.state, block.text) == ("interrupted", "x")
        assert [run.state for run in keep.history("c").runs()] == ["interrupted"]


def test_a_reader_of_a_block_that_has_not_ended_says_that_the_store_was_closed(path: Path) -> None:
    with ChatStore(path) as keep, keep.history("c").open_message() as writer, ThreadPoolExecutor(1) as pool:
        with ChatStore(path) as store:
            reading = pool.submit(store.history("c").read_block(writer.block).result)
            until(lambda: bool(store._subscriptions))
        with pytest.raises(StoreClosed, match="before the block ended"):
            reading.result(20)


def test_a_store_that_another_thread_closes_in_the_middle_of_a_call_says_so(path: Path) -> None:
    store = ChatStore(path)
    checking = type(store._open()).check.__code__

    def close(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is checking:
            sys.settrace(None)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(store.close).result()

    sys.settrace(close)
    try:
        with pytest.raises(StoreClosed):
            store.history("c").append_user_message("x")
    finally:
        sys.settrace(None)


def test_a_run_that_is_dropped_is_ended(store: ChatStore) -> None:
    history = store.history("c")

    def enter() -> None:
        contextvars.copy_context().run(history.run().__enter__)

    enter()
    gc.collect()
    until(lambda: history.runs()[0].state == "interrupted")


@pytest.mark.parametrize("what", ["block", "run", "submit"])
async def test_what_is_cancelled_while_it_opens_does_not_stay_open(path: Path, what: str) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history("c")
        await history.append_user_message("first")

        async def agent(history: object, prompt: str) -> None:
            await asyncio.Event().wait()

        async def work() -> None:
            if what == "block":
                await history.open_message()
            elif what == "run":
                await history.run().__aenter__()
            else:
                await store.submit(agent, "go", context="c")

        with locked(path):
            task = asyncio.create_task(work())
            while not (await store._open()).committer._lead.locked():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        deadline = time.monotonic() + 20
        while any(run.state == "running" for run in await history.runs()) or await history.count(states=["open"]):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


def test_an_error_that_cannot_be_printed_ends_the_run(store: ChatStore) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    history = store.history("c")
    with pytest.raises(Broken), history.run():
        raise Broken
    [run] = history.runs()
    assert run.state == "failed" and run.error is not None and run.error.type == "Broken"


def test_a_run_that_was_stopped_has_ended_for_who_waits_whatever_its_agent_does(store: ChatStore) -> None:
    go_on = threading.Event()
    handle = store.submit(lambda history, prompt: go_on.wait(20), "go")
    handle.cancel()
    run = handle.wait(20)
    go_on.set()
    assert run is not None and run.state == "cancelled"
    with pytest.raises(RunCancelled):
        handle.result(20)


def test_a_coroutine_function_is_no_agent_of_a_store_for_threads(store: ChatStore) -> None:
    async def agent(history: object, prompt: str) -> None:
        pass

    with pytest.raises(InvalidInput):
        store.submit(agent, "go")
    assert store.contexts() == []


def test_data_set_at_the_end_of_a_call_leaves_what_names_it(store: ChatStore) -> None:
    writer = store.history("c").open_block("function_call", data={"name": "f", "call_id": "1"})
    writer.write('{"a": 1}')
    assert writer.close(data={"x": 1}).data == {"name": "f", "call_id": "1", "x": 1, "arguments": {"a": 1}}


def test_a_process_that_ends_without_closing_stores_what_it_wrote(path: Path) -> None:
    code = """
        import sys
        from chatstore import ChatStore

        history = ChatStore(sys.argv[1]).history("c")
        writer = history.open_message()
        for _ in range(1000):
            writer.write("token ")
    """
    run(code, path)
    with ChatStore(path) as store:
        [block] = store.history("c").get_messages()
        assert (block.state, block.text) == ("interrupted", "token " * 1000)


def test_a_run_is_entered_once(store: ChatStore) -> None:
    run = store.history("c").run()
    with run:
        pass
    with pytest.raises(UsageError):
        run.__enter__()
    with pytest.raises(InvalidInput):
        store.history("c").run(parent_run_id=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_whose_beginning_was_cancelled_is_so_though_the_store_closes_at_once(tmp_path: Path, steps: int) -> None:
    """Wherever the cancellation finds it: what was left to the thread that commits is done before it ends."""

    async def begin(history: AsyncHistory) -> None:
        async with history.run():
            await asyncio.Event().wait()

    async def cancel(path: Path) -> None:
        async with AsyncChatStore(path) as store:
            history = store.history("c")
            await history.append_user_message("so that the store is open")
            beginning = asyncio.create_task(begin(history))
            for _ in range(steps):
                await asyncio.sleep(0)
            beginning.cancel()
            await asyncio.wait([beginning])

    for number in range(12):
        asyncio.run(cancel(tmp_path / f"{number}.db"))
        with ChatStore(tmp_path / f"{number}.db") as store:
            assert {run.state for run in store.history("c").runs()} <= {"cancelled"}


async def test_an_end_that_the_disk_refuses_after_its_task_was_cancelled_is_stored_later(path: Path) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with AsyncChatStore(path, busy_timeout=3) as store:
        core, history = await store._open(), store.history("c")
        writer = history.open_message()

        async def work() -> None:
            async with writer:
                await writer.write("text")
                await writer.flush()
                lock.__enter__()

        lock = locked(path)
        task = asyncio.create_task(work())
        await asyncio.to_thread(until, core.committer._lead.locked)
        await asyncio.to_thread(until, lambda: writer._opened is not None and writer._opened.stopped)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(until, lambda: bool(core.flusher.unfinished))
        lock.__exit__(None, None, None)
        async with asyncio.timeout(20):
            while (await history.get_messages())[0].state == "open":
                await asyncio.sleep(0.01)
        [block] = await history.get_messages()
        assert (block.state, block.text) == ("closed", "text")
    gc.collect()
    assert told == []
