"""LangChain: what a message history keeps of an answer, and the same answer in a store of ours."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from comparing import (
    ANSWER,
    CONTEXT,
    PARTIAL,
    QUESTION,
    Follower,
    die,
    elsewhere,
    iterating,
    kept,
    killed,
    parameters,
    public,
    stored,
)
from gated_model import Gated
from sqlalchemy.ext.asyncio import create_async_engine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from langchain_community.chat_message_histories import SQLChatMessageHistory
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.messages import HumanMessage
    from langchain_core.runnables.history import RunnableWithMessageHistory

from chatstore import AsyncHistory, ChatStore, History

pytestmark = pytest.mark.filterwarnings("ignore")
HERE = "test_comparison_langchain"
HalfWay = Callable[[Any], Awaitable[None]]


def messages(directory: str) -> list[tuple[str, str]]:
    """Role and text of what a history holds."""
    history = SQLChatMessageHistory(CONTEXT, connection=f"sqlite:///{directory}/langchain.db")
    try:
        roles = {"human": "user"}
        return [(roles.get(message.type, "assistant"), message.content) for message in history.get_messages()]
    finally:
        history.engine.dispose()


def answer(directory: Path | str, half_way: HalfWay, *, stops: bool = False) -> None:
    """A model answers into a history and into a store of ours. `half_way` is given what streams."""

    async def work() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{directory}/langchain.db")
        model = Gated()
        chain = RunnableWithMessageHistory(model, lambda name: SQLChatMessageHistory(name, connection=engine))
        stream = chain.astream([HumanMessage(QUESTION)], {"configurable": {"session_id": CONTEXT}})

        async def tokens() -> AsyncIterator[str]:
            async for chunk in stream:
                yield chunk.content

        async def called() -> None:
            await half_way(stream)
            model.go_on.set()

        await kept(Path(directory) / "chat.db", tokens(), called, stops=stops)
        await engine.dispose()

    asyncio.run(work())


async def stop(stream: Any) -> None:
    await stream.aclose()


async def perish(_: Any) -> None:
    die()


def die_half_way(directory: str) -> None:
    answer(directory, perish)


def test_of_an_answer_that_is_stopped_a_history_keeps_nothing(tmp_path: Path) -> None:
    answer(tmp_path, stop, stops=True)
    assert messages(str(tmp_path)) == []
    assert stored(tmp_path / "chat.db") == [("user", QUESTION, "closed"), ("assistant", PARTIAL, "cancelled")]


def test_while_an_answer_comes_others_read_nothing_of_it_in_a_history(tmp_path: Path) -> None:
    with ExitStack() as stack:

        async def look(_: Any) -> None:
            assert await asyncio.to_thread(elsewhere, f"{HERE}:messages", tmp_path) == []
            await asyncio.to_thread(stack.enter_context(Follower(tmp_path / "chat.db")).until, PARTIAL)

        answer(tmp_path, look)
    assert elsewhere(f"{HERE}:messages", tmp_path) == [["user", QUESTION], ["assistant", ANSWER]]


def test_of_a_killed_chain_a_history_keeps_nothing(tmp_path: Path) -> None:
    killed(f"{HERE}:die_half_way", tmp_path)
    assert messages(str(tmp_path)) == []
    with Follower(tmp_path / "chat.db") as follower:
        assert follower.ended() == "interrupted"
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "interrupted")]


def test_a_history_of_langchain_is_read_whole_and_cannot_be_followed(tmp_path: Path) -> None:
    assert {"get_messages", "add_messages", "clear"} <= public(SQLChatMessageHistory)
    assert not iterating(SQLChatMessageHistory)
    assert not {"subscribe", "follow", "watch", "tail", "listen"} & public(SQLChatMessageHistory)
    assert not parameters(SQLChatMessageHistory.get_messages)
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        seen = history.append_user_message(QUESTION).cursor
        history.append_assistant_message(ANSWER)
        assert [block.text for block in history.get_messages(after=seen)] == [ANSWER]
        assert [block.text for block in history.get_messages(last=1, roles=["user"])] == [QUESTION]


def test_a_history_of_langchain_is_there_for_threads_and_event_loops_and_so_is_ours() -> None:
    for name in ("get_messages", "add_messages", "clear"):
        assert inspect.iscoroutinefunction(getattr(SQLChatMessageHistory, f"a{name}"))
        assert not inspect.iscoroutinefunction(getattr(SQLChatMessageHistory, name))
    assert inspect.iscoroutinefunction(AsyncHistory.get_messages)
    assert not inspect.iscoroutinefunction(History.get_messages)


def test_a_history_of_langchain_is_cleared(tmp_path: Path) -> None:
    history = SQLChatMessageHistory(CONTEXT, connection=f"sqlite:///{tmp_path}/langchain.db")
    history.add_user_message(QUESTION)
    history.clear()
    assert not history.get_messages()
    history.engine.dispose()
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        store.history(CONTEXT).erase()
        assert not [*store.contexts()]


def test_langchain_announces_the_end_of_its_histories() -> None:
    said = BaseChatMessageHistory.__doc__ or ""
    assert "deprecated" in said and "will be removed in langchain-core==2.0.0" in said
