"""Submitting: a run that an agent works on in the background, and the handle of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    Change,
    ContextErased,
    InvalidInput,
    InvalidText,
    RunCancelled,
    RunEnded,
    Tag,
)
from chatstore.testing.conformance.base import Open, Part, block_of, log, rest, soon, take


async def answer(history: AsyncHistory, prompt: str) -> str:
    """An agent that says what it was asked, backwards."""
    await history.append_status_message("thinking")
    block = await history.append_assistant_message(iter(reversed(prompt)))
    return block.text


class Submitting(Part):
    """`store.submit`, `wait`, `result` and `cancel`."""

    async def test_the_first_change_behind_the_cursor_is_the_users_message(self, store: AsyncChatStore) -> None:
        handle = await store.submit(answer, "abc", context="c", author="u", tags=[Tag(kind="k", name="n")])
        async with handle.history.subscribe(after=handle.cursor) as subscription:
            (change,) = await take(subscription, 1)
        said = block_of(change)
        assert (said.type, said.role, said.text, said.author) == ("message", "user", "abc", "u")
        assert (said.run_id, said.tags) == (handle.run.id, (Tag(kind="k", name="n"),))
        assert await soon(handle.result()) == "cba"
        run = await soon(handle.wait())
        assert run is not None
        assert (run.id, run.state) == (handle.run.id, "completed")
        blocks = await store.history("c").get_messages()
        assert [block.text for block in blocks] == ["abc", "thinking", "cba"]
        assert {block.run_id for block in blocks} == {run.id}

    async def test_it_returns_while_the_agent_works(self, store: AsyncChatStore) -> None:
        go_on = asyncio.Event()

        async def agent(history: AsyncHistory, prompt: str) -> None:
            await go_on.wait()

        handle = await soon(store.submit(agent, "x", context="c"))
        assert handle.run.state == "running"
        assert await handle.wait(timeout=0.01) is None
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.01)
        assert [block.text for block in await handle.history.get_messages()] == ["x"]
        go_on.set()
        await soon(handle.result())

    async def test_without_a_context_there_is_a_new_one(self, store: AsyncChatStore) -> None:
        one, two = [await store.submit(answer, "x") for _ in range(2)]
        await soon(asyncio.gather(one.wait(), two.wait()))
        names = {context.context_id for context in await store.contexts()}
        assert names == {one.history.context_id, two.history.context_id}
        assert len(names) == 2

    async def test_an_agent_that_raises_fails_its_run_and_gives_the_error_to_who_asks(
        self, store: AsyncChatStore
    ) -> None:
        async def agent(history: AsyncHistory, prompt: str) -> None:
            block = await history.open_message()
            await block.write("so far")
            await block.flush()
            raise LookupError("gone")

        handle = await store.submit(agent, "x", context="c")
        run = await soon(handle.wait())
        assert run is not None and run.error is not None
        assert (run.state, run.error.type, run.error.message) == ("failed", "LookupError", "gone")
        with pytest.raises(LookupError, match="gone"):
            await soon(handle.result())
        assert [block.state for block in await handle.history.get_messages()] == ["closed", "failed"]

    @pytest.mark.parametrize("by", ["handle", "another"])
    async def test_a_cancelled_run_stops_its_agent_at_the_next_write(
        self, store: AsyncChatStore, another: Open, by: str
    ) -> None:
        async def agent(history: AsyncHistory, prompt: str) -> None:
            async with history.open_message() as block:
                while True:
                    await block.write("on and ")
                    await block.flush()

        handle = await store.submit(agent, "x", context="c")
        async with handle.history.subscribe(after=handle.cursor) as subscription:
            await take(subscription, 4)
        if by == "handle":
            await handle.cancel()
        else:
            await (await another()).history("c").cancel_run(handle.run.id)
        run = await soon(handle.wait())
        assert run is not None and run.state == "cancelled"
        with pytest.raises(RunCancelled):
            await soon(handle.result())
        (_, block) = await handle.history.get_messages()
        assert (block.state, block.text.startswith("on and ")) == ("cancelled", True)
        assert await soon((await store.submit(answer, "again", context="c")).result()) == "niaga"

    async def test_two_at_once_on_one_history_have_disjoint_changes_that_are_the_whole(
        self, store: AsyncChatStore
    ) -> None:
        handles = [await store.submit(answer, prompt, context="c") for prompt in ("one", "two")]
        seen = await soon(asyncio.gather(*(rest(handle.history.subscribe(run=handle.run.id)) for handle in handles)))
        for handle, changes in zip(handles, seen, strict=True):
            assert isinstance(changes[-1], RunEnded)
            assert {change.run_id for change in changes} == {handle.run.id}
            await soon(handle.wait())
        whole = await log(store.history("c"))
        late = [await log(store.history("c"), run=handle.run.id) for handle in handles]
        assert sorted((change for changes in late for change in changes), key=_cursor) == whole
        assert len(whole) == 12

    async def test_once_waited_for_nothing_of_the_run_is_open(self, store: AsyncChatStore) -> None:
        async def agent(history: AsyncHistory, prompt: str) -> None:
            block = await history.open_message()
            await block.write("never ended")
            await block.flush()

        handle = await store.submit(agent, "x", context="c")
        run = await soon(handle.wait())
        assert run is not None and run.state == "completed"
        assert [block.state for block in await handle.history.get_messages()] == ["closed", "closed"]

    async def test_an_agent_that_erases_its_context_has_no_result_but_the_reason(self, store: AsyncChatStore) -> None:
        async def agent(history: AsyncHistory, prompt: str) -> str:
            await history.erase()
            return "done"

        handle = await store.submit(agent, "x", context="c")
        with pytest.raises(ContextErased):
            await soon(handle.result())

    async def test_submitted_inside_a_run_it_is_part_of_that(self, store: AsyncChatStore) -> None:
        history = store.history("c")
        async with history.run() as outer:
            handle = await store.submit(answer, "x", context="sub-agent")
            await soon(handle.wait())
        assert handle.run.parent_run_id == outer.id
        named = await store.submit(answer, "x", context="c", parent_run_id="their own")
        await soon(named.wait())
        assert named.run.parent_run_id == "their own"

    async def test_an_agent_that_would_never_run_starts_nothing(self, store: AsyncChatStore) -> None:
        async def generator(history: AsyncHistory, prompt: str) -> AsyncIterator[str]:
            yield prompt

        def steps(history: AsyncHistory, prompt: str) -> Iterator[str]:
            yield prompt

        if not isinstance(store, AsyncChatStore):  # a store for threads, whose agents are wrapped here
            return
        for agent in (generator, steps, "agent", None):
            with pytest.raises(InvalidInput, match="the agent is"):
                await store.submit(cast("Any", agent), "x", context="c")
        assert await store.contexts() == []

    async def test_an_agent_that_returns_a_generator_fails(self, store: AsyncChatStore) -> None:
        async def agent(history: AsyncHistory, prompt: str) -> Any:
            return (piece for piece in prompt)

        handle = await store.submit(agent, "x", context="c")
        run = await soon(handle.wait())
        assert run is not None and run.error is not None
        assert (run.state, run.error.type) == ("failed", "InvalidInput")
        with pytest.raises(InvalidInput, match="returned a generator"):
            await soon(handle.result())

    async def test_a_prompt_that_cannot_be_stored_starts_nothing(self, store: AsyncChatStore) -> None:
        called: list[Any] = []

        async def agent(history: AsyncHistory, prompt: str) -> None:
            called.append(prompt)

        with pytest.raises(InvalidText):
            await store.submit(agent, "\ud800", context="c")
        assert (await store.contexts(), called) == ([], [])


def _cursor(change: Change) -> str:
    return change.cursor
