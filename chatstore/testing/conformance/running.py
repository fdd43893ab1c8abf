"""Runs: what is written inside belongs to them, and they always end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    BlockDraft,
    InvalidInput,
    RunCancelled,
    RunEnded,
    RunInterrupted,
    RunNotFound,
    RunOver,
    RunStarted,
)
from chatstore.testing.conformance.base import Open, Part, log, rest, soon, take


class Running(Part):
    """`history.run`, `cancel_run`, `get_run`, `runs`, and the filter `run=`."""

    async def test_a_run_stamps_what_is_written_inside_and_completes(self, history: AsyncHistory) -> None:
        before = await history.append_user_message("before")
        async with history.run() as run:
            assert (await history.get_run(run.id)).state == "running"
            await history.append_user_message("one")
            await history.append([BlockDraft(text="two"), BlockDraft(text="three", run_id="own")])
            await history.append_assistant_message(iter(["four"]))
            async with history.open_block("reasoning") as block:
                await block.write("five")
        after = await history.append_user_message("after")
        blocks = await history.get_messages()
        assert [block.run_id for block in blocks] == [None, run.id, run.id, "own", run.id, run.id, None]
        assert await history.get_messages(run=run.id) == [blocks[place] for place in (1, 2, 4, 5)]
        ended = await history.get_run(run.id)
        assert (ended.state, ended.error, ended.context_id) == ("completed", None, history.context_id)
        assert ended.ended_at is not None
        assert ended.started_at <= ended.ended_at
        assert (before.run_id, after.run_id, await history.runs()) == (None, None, [ended])

    async def test_the_log_shows_the_start_and_the_end_of_a_run(self, history: AsyncHistory) -> None:
        async with history.subscribe() as live:
            async with history.run() as run:
                await history.append_user_message("x")
            started, _, ended = await take(live, 3)
        assert isinstance(started, RunStarted)
        assert isinstance(ended, RunEnded)
        assert ended.run.state == "completed"
        assert (started.run_id, ended.run_id, started.context_id) == (run.id, run.id, history.context_id)
        late = await log(history)
        assert [type(change).__name__ for change in late] == ["RunStarted", "BlockAdded", "RunEnded"]
        assert late[-1] == ended
        assert ended.run == await history.get_run(run.id)

    async def test_an_exception_fails_the_run_and_its_open_blocks(self, history: AsyncHistory) -> None:
        with pytest.raises(LookupError, match="no such city"):
            async with history.run() as run:
                block = await history.open_message()
                await block.write("so far")
                await soon(block.flush())
                raise LookupError("no such city")
        failed = await history.get_run(run.id)
        assert failed.state == "failed"
        assert failed.error is not None
        assert (failed.error.type, failed.error.message) == ("LookupError", "no such city")
        assert "Traceback" not in failed.model_dump_json()
        (left,) = await history.get_messages()
        assert (left.text, left.state) == ("so far", "failed")

    async def test_open_blocks_end_with_their_run(self, history: AsyncHistory) -> None:
        async with history.run() as run:
            block = await history.open_message()
            await block.write("so far")
            await soon(block.flush())
        assert [(left.text, left.state) for left in await history.get_messages()] == [("so far", "closed")]
        with pytest.raises(RunOver):
            await block.close()
        with pytest.raises(RunOver):
            await history.append_user_message("too late", run_id=run.id)
        assert await history.count() == 1

    async def test_a_cancelled_task_leaves_its_run_cancelled(self, history: AsyncHistory) -> None:
        entered = asyncio.Event()

        async def work() -> None:
            async with history.run(), history.open_message() as block:
                await block.write("so far")
                entered.set()
                await asyncio.Event().wait()

        working = asyncio.ensure_future(work())
        await soon(entered.wait())
        working.cancel()
        await soon(asyncio.gather(working, return_exceptions=True))
        async with history.subscribe() as subscription:
            while not isinstance(change := await soon(anext(subscription)), RunEnded):
                pass
        assert change.run.state == "cancelled"
        assert [(left.text, left.state) for left in await history.get_messages()] == [("so far", "cancelled")]

    async def test_a_run_is_cancelled_from_elsewhere_and_its_writer_told(
        self, history: AsyncHistory, another: Open
    ) -> None:
        twin = (await another()).history(history.context_id)
        with pytest.raises(RunCancelled):
            async with history.run() as run:
                block = await history.open_message()
                await block.write("so far")
                await soon(block.flush())
                assert (await twin.cancel_run(run.id)).state == "cancelled"
                with pytest.raises(RunCancelled):
                    await history.append_user_message("too late")
                while True:
                    await block.write(" too late")
                    await soon(block.flush())
        assert [(left.text, left.state) for left in await history.get_messages()] == [("so far", "cancelled")]
        assert (await history.get_run(run.id)).state == "cancelled"
        async with history.run() as following:
            await history.append_user_message("again")
        assert (await history.get_run(following.id)).state == "completed"

    async def test_cancelling_a_run_that_has_ended_leaves_it_as_it_is(self, history: AsyncHistory) -> None:
        async with history.run() as run:
            pass
        head = await history.head()
        assert (await history.cancel_run(run.id)).state == "completed"
        assert await history.head() == head

    async def test_a_run_that_is_not_there_is_not_found(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        async with store.history("other").run() as run:
            pass
        assert await history.runs() == []
        for unknown in (run.id, "nobody", ""):
            with pytest.raises((RunNotFound, InvalidInput)):
                await history.get_run(unknown)
            with pytest.raises((RunNotFound, InvalidInput)):
                await history.cancel_run(unknown)
        assert [context.context_id for context in await store.contexts()] == ["other"]

    async def test_usage_is_stored_with_the_end(self, history: AsyncHistory) -> None:
        async with history.run() as run:
            run.set_usage({"input_tokens": 1})
            run.set_usage({"input_tokens": 12, "output_tokens": 3})
            with pytest.raises(InvalidInput):
                run.set_usage(5)  # type: ignore[arg-type]
        assert (await history.get_run(run.id)).usage == {"input_tokens": 12, "output_tokens": 3}

    async def test_a_run_inside_another_is_part_of_it(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        async with history.run() as outer:
            async with history.run() as inner, store.history("sub-agent").run() as elsewhere:
                block = await history.append_user_message("inner")
            again = await history.append_user_message("outer")
        async with history.run(parent_run_id=outer.id) as named:
            pass
        assert (block.run_id, again.run_id) == (inner.id, outer.id)
        parents = {run.id: run.parent_run_id for run in await history.runs()}
        assert parents == {outer.id: None, inner.id: outer.id, named.id: outer.id}
        assert (await store.history("sub-agent").get_run(elsewhere.id)).parent_run_id == inner.id

    async def test_a_run_of_another_history_inside_leaves_this_one_its_run(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        async with history.run() as run, store.history("sub-agent").run() as part:
            block = await history.append_status_message("asked the sub-agent")
            theirs = await store.history("sub-agent").append_user_message("question")
        assert (block.run_id, theirs.run_id) == (run.id, part.id)

    async def test_cancelling_a_run_cancels_what_is_part_of_it(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        part = store.history("sub-agent")
        with pytest.raises(RunCancelled):
            async with history.run() as outer, part.run() as inner:
                await part.append_user_message("x")
                await history.cancel_run(outer.id)
                with pytest.raises(RunCancelled):
                    await part.append_user_message("too late")
        assert (await part.get_run(inner.id)).state == (await history.get_run(outer.id)).state == "cancelled"

    async def test_a_run_belongs_to_its_own_task(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def bystander() -> Any:
            await entered.wait()
            return (await history.append_user_message("beside")).run_id

        async def work(barrier: asyncio.Barrier) -> tuple[str, Any]:
            async with history.run() as run:
                await barrier.wait()
                entered.set()
                inside = asyncio.ensure_future(history.append_user_message("a task inside"))
                await leave.wait()
                return run.id, {(await inside).run_id, (await history.append_user_message("x")).run_id}

        beside = asyncio.ensure_future(bystander())
        barrier = asyncio.Barrier(2)
        working = [asyncio.ensure_future(work(barrier)) for _ in range(2)]
        assert await soon(beside) is None
        leave.set()
        for run_id, stamped in await soon(asyncio.gather(*working)):
            assert stamped == {run_id}

    async def test_a_run_stamps_its_own_history_only(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        async with history.run():
            other = await store.history("other").append_user_message("x")
        assert other.run_id is None

    @pytest.mark.parametrize("live", [True, False])
    async def test_a_subscription_to_a_run_has_its_blocks_and_ends_with_it(
        self, history: AsyncHistory, live: bool
    ) -> None:
        await history.append_user_message("before")
        async with history.run() as run:
            following = asyncio.ensure_future(rest(history.subscribe(run=run.id))) if live else None
            await history.append_user_message("inside")
            async with history.open_message() as block:
                await block.write("answer")
        await history.append_user_message("after")
        changes = await soon(following) if following else await rest(history.subscribe(run=run.id))
        assert [type(changes[place]) for place in (0, -1)] == [RunStarted, RunEnded]
        assert {change.run_id for change in changes} == {run.id}
        for change in changes:
            left = await rest(history.subscribe(after=change.cursor, run=run.id))
            assert (change is changes[-1]) == (left == [])
        assert await rest(history.subscribe(after=await history.head(), run=run.id)) == []
        assert await rest(history.subscribe(after="now", run=run.id)) == []

    async def test_a_narrowed_subscription_to_a_run_ends_with_it(self, history: AsyncHistory) -> None:
        async with history.run() as run:
            following = asyncio.ensure_future(rest(history.subscribe(run=run.id, types=["status"], states=["closed"])))
            await history.append_user_message("inside")
            status = await history.append_status_message("working")
        changes = await soon(following)
        assert [change.block for change in changes if not isinstance(change, (RunStarted, RunEnded))] == [status]  # type: ignore[union-attr]

    async def test_a_run_of_a_store_that_closed_is_interrupted_and_takes_nothing_more(self, another: Open) -> None:
        store = await another()
        run = await store.history("c").run().__aenter__()
        await soon(store.close())
        history = (await another()).history("c")
        assert (await history.get_run(run.id)).state == "interrupted"
        with pytest.raises(RunInterrupted):
            await history.append_user_message("back again", run_id=run.id)
        changes = await rest(history.subscribe(run=run.id))
        assert isinstance(changes[-1], RunEnded)
        assert changes[-1].run.state == "interrupted"
