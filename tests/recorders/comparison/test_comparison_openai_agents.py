"""OpenAI Agents: what its sessions keep of an answer, and the same answer in a store of ours."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, SQLiteSession, set_tracing_disabled
from agents.extensions.memory import AdvancedSQLiteSession, EncryptedSession, SQLAlchemySession
from agents.models.interface import Model
from comparing import (
    ANSWER,
    CONTEXT,
    PARTIAL,
    QUESTION,
    TOKENS,
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
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)

from chatstore import AsyncHistory, ChatStore, ContextErased, History

pytestmark = pytest.mark.filterwarnings("ignore")
HERE = "test_comparison_openai_agents"
HalfWay = Callable[[Any], Awaitable[None]]
KINDS = ("SQLiteSession", "SQLAlchemySession")
set_tracing_disabled(True)  # it would send traces over the network


def _whole(text: str) -> ResponseOutputMessage:
    part = ResponseOutputText(type="output_text", text=text, annotations=[])
    return ResponseOutputMessage(id="msg_1", type="message", role="assistant", status="completed", content=[part])


class Scripted(Model):
    """A model that says the tokens; half-way it waits until it is to go on, as a model does that is slow."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def get_response(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    async def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        for number, token in enumerate(TOKENS):
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                item_id="msg_1",
                output_index=0,
                content_index=0,
                delta=token,
                logprobs=[],
                sequence_number=number,
            )
            if "".join(TOKENS[: number + 1]) == PARTIAL:
                await self.go_on.wait()
        response = Response(
            id="resp_1",
            created_at=time.time(),
            model="scripted",
            object="response",
            output=[_whole(ANSWER)],
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=len(TOKENS))


@asynccontextmanager
async def session(kind: str, directory: Path | str) -> AsyncIterator[Any]:
    file = Path(directory) / "agents.db"
    if kind == "SQLiteSession":
        opened = SQLiteSession(CONTEXT, file)
        yield opened
        opened.close()
    else:
        made = SQLAlchemySession.from_url(CONTEXT, url=f"sqlite+aiosqlite:///{file}", create_tables=True)
        yield made
        await made.engine.dispose()


def items(kind: str, directory: str) -> list[tuple[str, str]]:
    """Role and text of what a session holds."""

    async def read() -> list[tuple[str, str]]:
        async with session(kind, directory) as opened:
            return [(item["role"], _text(item["content"])) for item in await opened.get_items()]

    return asyncio.run(read())


def _text(content: Any) -> str:
    return content if isinstance(content, str) else content[0]["text"]


async def tokens(result: Any) -> AsyncIterator[str]:
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            yield event.data.delta


def answer(kind: str, directory: Path | str, half_way: HalfWay, *, stops: bool = False) -> None:
    """An agent answers into a session and into a store of ours. `half_way` is given the result."""

    async def work() -> None:
        async with session(kind, directory) as opened:
            model = Scripted()
            result = Runner.run_streamed(Agent("weather", model=model), QUESTION, session=opened)

            async def called() -> None:
                await half_way(result)
                model.go_on.set()

            await kept(Path(directory) / "chat.db", tokens(result), called, stops=stops)

    asyncio.run(work())


async def stop(result: Any) -> None:
    result.cancel()


async def stop_after_the_turn(result: Any) -> None:
    result.cancel(mode="after_turn")


async def perish(_: Any) -> None:
    die()


def die_half_way(kind: str, directory: str) -> None:
    answer(kind, directory, perish)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_cancelled_answer_a_session_keeps_the_question_alone(kind: str, tmp_path: Path) -> None:
    answer(kind, tmp_path, stop, stops=True)
    assert items(kind, str(tmp_path)) == [("user", QUESTION)]
    assert stored(tmp_path / "chat.db") == [("user", QUESTION, "closed"), ("assistant", PARTIAL, "cancelled")]


@pytest.mark.parametrize("kind", KINDS)
def test_cancelled_after_the_turn_a_session_keeps_the_whole_answer(kind: str, tmp_path: Path) -> None:
    answer(kind, tmp_path, stop_after_the_turn)
    assert items(kind, str(tmp_path)) == [("user", QUESTION), ("assistant", ANSWER)]
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", ANSWER, "closed")]


@pytest.mark.parametrize("kind", KINDS)
def test_while_an_answer_comes_others_read_the_question_alone_in_a_session(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:

        async def look(_: Any) -> None:
            assert await asyncio.to_thread(elsewhere, f"{HERE}:items", kind, tmp_path) == [["user", QUESTION]]
            await asyncio.to_thread(stack.enter_context(Follower(tmp_path / "chat.db")).until, PARTIAL)

        answer(kind, tmp_path, look)
    assert elsewhere(f"{HERE}:items", kind, tmp_path)[1] == ["assistant", ANSWER]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_killed_agent_a_session_keeps_the_question_and_says_nothing(kind: str, tmp_path: Path) -> None:
    killed(f"{HERE}:die_half_way", kind, tmp_path)
    assert items(kind, str(tmp_path)) == [("user", QUESTION)]
    with Follower(tmp_path / "chat.db") as follower:
        assert follower.ended() == "interrupted"
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "interrupted")]


@pytest.mark.parametrize("subject", [SQLiteSession, SQLAlchemySession])
def test_a_session_is_read_whole_or_from_its_end_and_cannot_be_followed(subject: type, tmp_path: Path) -> None:
    assert {"get_items", "add_items", "pop_item", "clear_session"} <= public(subject)
    assert not iterating(subject) and not {"subscribe", "follow", "watch", "tail", "listen"} & public(subject)
    assert parameters(subject.get_items) == {"limit"}  # the last so many: no position, no role, no type
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        seen = history.append_user_message(QUESTION).cursor
        history.append_status_message("Looking it up")
        history.append_assistant_message(ANSWER)
        after = [change.block.text for change in history.subscribe(after=seen, kind="transcript", follow=False)]
    assert after == [ANSWER]


@pytest.mark.parametrize("subject", [SQLiteSession, SQLAlchemySession])
def test_a_session_is_for_event_loops_alone(subject: type) -> None:
    for name in ("get_items", "add_items", "pop_item", "clear_session"):
        assert inspect.iscoroutinefunction(getattr(subject, name))
    assert inspect.iscoroutinefunction(AsyncHistory.append) and not inspect.iscoroutinefunction(History.append)


async def test_a_session_is_cleared_and_used_again_and_a_context_is_erased_for_good(tmp_path: Path) -> None:
    async with session("SQLiteSession", tmp_path) as opened:
        await opened.add_items([{"role": "user", "content": "one"}])
        await opened.clear_session()
        await opened.add_items([{"role": "user", "content": "two"}])
        assert [item["content"] for item in await opened.get_items()] == ["two"]
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message("one")
        store.history(CONTEXT).erase()
        with pytest.raises(ContextErased):
            store.history(CONTEXT).append_user_message("two")


async def test_an_item_is_taken_back_from_a_session_and_a_block_is_not(tmp_path: Path) -> None:
    async with session("SQLiteSession", tmp_path) as opened:
        await opened.add_items([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}])
        assert (await opened.pop_item())["content"] == "two"
        assert [item["content"] for item in await opened.get_items()] == ["one"]
    assert not {name for name in public(History) if name.startswith(("pop", "remove", "delete", "edit", "update"))}


async def test_a_session_branches_and_a_history_does_not(tmp_path: Path) -> None:
    session = AdvancedSQLiteSession(session_id=CONTEXT, db_path=tmp_path / "agents.db", create_tables=True)
    for text in ("one", "two"):
        await session.add_items([{"role": "user", "content": text}, {"role": "assistant", "content": f"{text}!"}])
    await session.create_branch_from_turn(2, "other")
    await session.add_items([{"role": "user", "content": "three"}])
    assert [item["content"] for item in await session.get_items()] == ["one", "one!", "three"]
    await session.switch_to_branch("main")
    assert [item["content"] for item in await session.get_items()] == ["one", "one!", "two", "two!"]
    session.close()
    assert not {name for name in public(History) if "branch" in name or "fork" in name}


async def test_an_encrypted_session_hides_its_text_and_a_store_does_not(tmp_path: Path) -> None:
    async with session("SQLiteSession", tmp_path) as opened:
        hidden = EncryptedSession(CONTEXT, opened, encryption_key="a key for tests", ttl=600)
        await hidden.add_items([{"role": "user", "content": QUESTION}])
        assert [item["content"] for item in await hidden.get_items()] == [QUESTION]
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message(QUESTION)
    assert not _holds(tmp_path, "agents.db*") and _holds(tmp_path, "chat.db*")


def _holds(directory: Path, files: str) -> bool:
    return any(QUESTION.encode() in path.read_bytes() for path in directory.glob(files))
