"""Google ADK: what its session service keeps of an answer, and the same answer in a store of ours."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
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
    public,
    stored,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from google.adk.agents import LlmAgent
    from google.adk.agents.run_config import RunConfig, StreamingMode
    from google.adk.errors._stale_session_error import StaleSessionError
    from google.adk.events import Event, EventActions
    from google.adk.models import BaseLlm, LlmRequest, LlmResponse
    from google.adk.runners import Runner
    from google.adk.sessions import DatabaseSessionService
    from google.adk.sessions.base_session_service import GetSessionConfig
    from google.genai.types import Content, Part

from chatstore import ChatStore, History

pytestmark = pytest.mark.filterwarnings("ignore")
HERE = "test_comparison_google_adk"
NAMES: Any = {"app_name": "weather", "user_id": "u1", "session_id": CONTEXT}
HalfWay = Callable[[], Awaitable[None]]


def said(text: str, role: str = "model") -> Content:
    return Content(role=role, parts=[Part(text=text)])


class Scripted(BaseLlm):
    """A model that says the tokens; half-way it waits until it is to go on."""

    model: str = "scripted"
    go_on: Any

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        for number, token in enumerate(TOKENS):
            yield LlmResponse(content=said(token), partial=True)
            if "".join(TOKENS[: number + 1]) == PARTIAL:
                await self.go_on.wait()
        yield LlmResponse(content=said(ANSWER), partial=False)


def service(directory: Path | str) -> Any:
    return DatabaseSessionService(f"sqlite+aiosqlite:///{directory}/adk.db")


def events(directory: str) -> list[tuple[str, str]]:
    """Author and text of what the session holds."""

    async def read() -> list[tuple[str, str]]:
        async with service(directory) as opened:
            session = await opened.get_session(**NAMES)
            return [(event.author, event.content.parts[0].text) for event in session.events]

    return asyncio.run(read())


def answer(directory: Path | str, half_way: HalfWay, *, stops: bool = False) -> None:
    """An agent answers into a session and into a store of ours. Who stops closes what the runner gives."""

    async def work() -> None:
        async with service(directory) as opened:
            await opened.create_session(**NAMES)
            model = Scripted(go_on=asyncio.Event())
            agent = LlmAgent(name="weather", model=model)
            runner = Runner(app_name="weather", agent=agent, session_service=opened)
            config = RunConfig(streaming_mode=StreamingMode.SSE)
            run = runner.run_async(
                user_id="u1", session_id=CONTEXT, new_message=said(QUESTION, "user"), run_config=config
            )
            stopped = asyncio.Event()
            async with aclosing(run):

                async def tokens() -> AsyncIterator[str]:
                    async for event in run:
                        if event.partial:
                            yield event.content.parts[0].text
                        if stopped.is_set():
                            await run.aclose()
                            return

                async def called() -> None:
                    await half_way()
                    if stops:
                        stopped.set()
                    model.go_on.set()

                await kept(Path(directory) / "chat.db", tokens(), called, stops=stops)

    asyncio.run(work())


async def nothing() -> None:
    pass


async def perish() -> None:
    die()


def die_half_way(directory: str) -> None:
    answer(directory, perish)


async def test_a_partial_event_is_given_back_and_not_stored(tmp_path: Path) -> None:
    async with service(tmp_path) as opened:
        session = await opened.create_session(**NAMES)
        await opened.append_event(session, Event(author="weather", content=said("It "), partial=True))
        await opened.append_event(session, Event(author="weather", content=said(ANSWER)))
        again = await opened.get_session(**NAMES)
        assert [event.content.parts[0].text for event in again.events] == [ANSWER]


def test_of_an_answer_that_is_stopped_a_session_of_adk_keeps_the_question_alone(tmp_path: Path) -> None:
    answer(tmp_path, nothing, stops=True)
    assert events(str(tmp_path)) == [("user", QUESTION)]
    assert stored(tmp_path / "chat.db") == [("user", QUESTION, "closed"), ("assistant", PARTIAL, "cancelled")]


def test_while_an_answer_comes_others_read_the_question_alone_in_a_session_of_adk(tmp_path: Path) -> None:
    with ExitStack() as stack:

        async def look() -> None:
            assert await asyncio.to_thread(elsewhere, f"{HERE}:events", tmp_path) == [["user", QUESTION]]
            await asyncio.to_thread(stack.enter_context(Follower(tmp_path / "chat.db")).until, PARTIAL)

        answer(tmp_path, look)
    assert elsewhere(f"{HERE}:events", tmp_path)[1:] == [["weather", ANSWER]]


def test_of_a_killed_agent_a_session_of_adk_keeps_the_question_and_says_nothing(tmp_path: Path) -> None:
    killed(f"{HERE}:die_half_way", tmp_path)
    assert events(str(tmp_path)) == [("user", QUESTION)]
    with Follower(tmp_path / "chat.db") as follower:
        assert follower.ended() == "interrupted"
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "interrupted")]


def test_a_session_of_adk_is_read_by_number_or_time_and_cannot_be_followed(tmp_path: Path) -> None:
    assert {"append_event", "get_session", "delete_session"} <= public(DatabaseSessionService)
    assert not iterating(DatabaseSessionService)
    assert not {"subscribe", "follow", "watch", "tail", "listen"} & public(DatabaseSessionService)
    assert {*GetSessionConfig.model_fields} == {"num_recent_events", "after_timestamp"}
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        seen = history.append_user_message(QUESTION).cursor
        history.append_status_message("Looking it up", author="weather")
        history.append_assistant_message(ANSWER, author="weather")
        read = history.get_messages(after=seen, authors=["weather"], kind="transcript")
    assert [block.text for block in read] == [ANSWER]


async def test_a_session_of_adk_is_for_event_loops_alone_and_is_deleted_whole(tmp_path: Path) -> None:
    names = {"create_session", "get_session", "append_event", "delete_session"}
    assert all(inspect.iscoroutinefunction(getattr(DatabaseSessionService, name)) for name in names)
    async with service(tmp_path) as opened:
        await opened.create_session(**NAMES)
        await opened.delete_session(**NAMES)
        assert await opened.get_session(**NAMES) is None
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        store.history(CONTEXT).erase()
        assert not [*store.contexts()]


async def test_of_two_who_loaded_a_session_of_adk_one_may_append(tmp_path: Path) -> None:
    async with service(tmp_path) as opened, service(tmp_path) as other:
        await opened.create_session(**NAMES)
        one, two = await opened.get_session(**NAMES), await other.get_session(**NAMES)
        await opened.append_event(one, Event(author="user", content=said("one", "user")))
        with pytest.raises(StaleSessionError):
            await other.append_event(two, Event(author="user", content=said("two", "user")))
    with ChatStore(tmp_path / "chat.db") as store, ChatStore(tmp_path / "chat.db") as second:
        for number, each in enumerate((store, second, store)):
            each.history(CONTEXT).append_user_message(str(number))
        assert store.history(CONTEXT).count() == 3


async def test_a_session_of_adk_has_state_that_goes_beyond_it_and_a_history_has_none(tmp_path: Path) -> None:
    async with service(tmp_path) as opened:
        session = await opened.create_session(**NAMES)
        changes = {"step": 2, "user:unit": "°C", "app:greeting": "Hello"}
        await opened.append_event(session, Event(author="weather", actions=EventActions(state_delta=changes)))
        other = await opened.create_session(**{**NAMES, "session_id": "other"})
        again = await opened.get_session(**NAMES)
        assert dict(again.state) == changes
        assert dict(other.state) == {"user:unit": "°C", "app:greeting": "Hello"}
    assert not {name for name in public(History) if "state" in name}


async def test_a_session_of_adk_is_rewound_and_a_history_is_not(tmp_path: Path) -> None:
    async with service(tmp_path) as opened:
        await opened.create_session(**NAMES)
        model = Scripted(go_on=asyncio.Event())
        model.go_on.set()
        runner = Runner(app_name="weather", agent=LlmAgent(name="weather", model=model), session_service=opened)
        asked = runner.run_async(user_id="u1", session_id=CONTEXT, new_message=said(QUESTION, "user"))
        invocation = [event.invocation_id async for event in asked][-1]
        await runner.rewind_async(user_id="u1", session_id=CONTEXT, rewind_before_invocation_id=invocation)
        session = await opened.get_session(**NAMES)
        assert session.events[-1].actions.rewind_before_invocation_id == invocation
        assert session.events[0].content.parts[0].text == QUESTION  # as a mark, as here
    assert not {name for name in public(History) if name.startswith(("rewind", "restore"))}
