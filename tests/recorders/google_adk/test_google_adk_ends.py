"""Where a stream or an invocation ends, and what a wrong context does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from google.adk.events import Event, EventActions
from google.genai import types
from recorded import texts
from scripted_adk import Running, adding, agent, call, history_of, piece, run, says, spent, text

from chatstore import AsyncChatStore, AsyncHistory
from chatstore.errors import InvalidInput
from chatstore.recorders.google_adk import Recorder, record

TASK = "Add 2 and 3"


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return history_of(async_store)


async def stream(*events: Any) -> AsyncIterator[Any]:
    for event in events:
        yield event


async def ended(history: AsyncHistory, *events: Any) -> str:
    """How the run ends that these are the events of."""
    async for _ in record(stream(*events), history, strict=True):
        pass
    found = (await history.runs())[-1]
    return found.state if found.error is None else f"{found.state}: {found.error.type}"


def event(*parts: types.Part, **more: Any) -> Event:
    content = types.Content(role="model", parts=[*parts]) if parts else None
    return Event(author="helper", invocation_id="i", content=content, **more)


def called(**more: Any) -> Event:
    return event(types.Part(function_call=types.FunctionCall(id="c", name="add", args={})), **more)


def response(**more: Any) -> Event:
    given = types.FunctionResponse(id="c", name="add", response={"result": 5})
    return event(types.Part(function_response=given), **more)


TRUNCATED = "failed: StreamTruncated"


@pytest.mark.parametrize(
    "given", [[object(), None, 1, {"author": "x"}], [SimpleNamespace(author="x")], [SimpleNamespace(content="x")], []]
)
async def test_what_is_no_event_is_no_stream(given: list[Any], history: AsyncHistory) -> None:
    assert await ended(history, *given) == TRUNCATED


async def test_a_model_owes_an_answer_to_what_a_tool_gave(history: AsyncHistory) -> None:
    assert await ended(history, called(), response()) == TRUNCATED
    assert await ended(history, called(), response(), event(actions=EventActions(state_delta={"a": 1}))) == TRUNCATED
    assert await ended(history, called(), response(), event(text("It is 5"))) == "completed"


async def test_one_that_is_cut_off_by_a_relay_has_failed(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    async def relay() -> AsyncIterator[Any]:
        async for one in await Running(adding()).events():
            yield one
            if one.get_function_responses():
                return

    async for _ in record(relay(), history, strict=True):
        pass
    assert [one.state for one in await history.runs()] == ["failed"]


@pytest.mark.parametrize(
    "actions",
    [{"skip_summarization": True}, {"escalate": True}, {"transfer_to_agent": "other"}, {"end_of_agent": True}],
)
async def test_an_event_says_that_nothing_is_owed(actions: dict[str, Any], history: AsyncHistory) -> None:
    assert await ended(history, called(), response(actions=EventActions(**actions))) == "completed"
    assert await ended(history, called(), response(), event(actions=EventActions(**actions))) == "completed"


async def test_nothing_is_owed_to_what_takes_long_or_by_a_model_that_has_nothing_to_say(history: AsyncHistory) -> None:
    assert await ended(history, called(long_running_tool_ids={"c"}), response()) == "completed"
    assert await ended(history, called(), response(), event(finish_reason=types.FinishReason.STOP)) == "completed"
    assert await ended(history, called(), response(), event(usage_metadata=spent(1, 0))) == "completed"


async def test_nothing_is_owed_in_a_live_session(history: AsyncHistory) -> None:
    assert await ended(history, event(text("Hm"), turn_complete=True), called(), response()) == "completed"


@pytest.mark.parametrize(("way", "state"), [("plugin", "completed"), ("both", "completed"), ("stream", "failed")])
async def test_a_model_that_says_nothing(
    way: str, state: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    await run(way, agent([]), async_store, strict=True)
    assert [one.state for one in await history.runs()] == [state]


@pytest.mark.parametrize("way", ["plugin", "both", "stream"])
async def test_an_answer_that_a_limit_stopped_says_so(
    way: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    cut = says(text("It i"), finish_reason=types.FinishReason.MAX_TOKENS)
    await run(way, agent([piece(text("It ")), cut]), async_store, strict=True)
    [answer] = await history.get_messages(tags=[("stop_reason", "MAX_TOKENS")])
    assert (answer.text, answer.data["finish_reason"]) == ("It i", "MAX_TOKENS")


async def test_one_that_stopped_by_itself_does_not(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    whole = says(text("It is 5"), finish_reason=types.FinishReason.STOP)
    called = says(call("adds", a=2, b=3), finish_reason=types.FinishReason.STOP)
    await run("plugin", agent([called], [whole], tools=[adds]), async_store, strict=True)
    assert {tag.kind for block in await history.get_messages() for tag in block.tags} == {"answer"}


def adds(a: int, b: int) -> int:
    """Adds."""
    return a + b


@pytest.mark.parametrize("context", ["chat", {"chat": "1"}])
async def test_a_context_may_be_fixed(context: Any, async_store: AsyncChatStore) -> None:
    await run("plugin", agent([says(text("It is 5"))]), async_store, context=context, strict=True)
    assert texts(await async_store.history(context).get_messages(), "message") == [TASK, "It is 5"]


@pytest.mark.parametrize("context", [None, 5, "", {}])
async def test_what_is_no_context_is_refused(context: Any, async_store: AsyncChatStore) -> None:
    with pytest.raises(InvalidInput):
        Recorder(async_store, context=context)


@pytest.mark.parametrize("context", [lambda ic: None, lambda ic: 1 / 0])
async def test_a_function_that_gives_no_context_breaks_no_agent(
    context: Any, async_store: AsyncChatStore, caplog: pytest.LogCaptureFixture
) -> None:
    events = await run("plugin", agent([says(text("It is 5"))]), async_store, context=context)
    assert events[-1].content.parts[0].text == "It is 5"
    assert caplog.text.count("recording has not begun") == 1
    with pytest.raises(RuntimeError):
        await run("plugin", agent([says(text("It is 5"))]), async_store, context=context, strict=True)
