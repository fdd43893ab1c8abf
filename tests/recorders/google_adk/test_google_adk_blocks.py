"""What is stored of invocations, by the plugin, around the stream, and by both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.adk.events import Event, EventActions
from google.adk.tools import LongRunningFunctionTool, ToolContext
from google.adk.tools.agent_tool import AgentTool
from google.genai import types
from recorded import shapes, texts
from scripted_adk import Running, adding, agent, call, history_of, message, piece, run, says, spent, streamed, text

from chatstore import AsyncChatStore, AsyncHistory
from chatstore.recorders import record as record_any
from chatstore.recorders.google_adk import Recorder, record

WAYS = ("plugin", "stream", "both")
PNG = b"\x89PNG\r\n\x1a\n"
TASK = "Add 2 and 3"


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return history_of(async_store)


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_streamed_and_what_is_said_at_the_end_are_one_block(
    way: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    await run(way, adding(), async_store, strict=True)
    blocks = await history.get_messages()
    assert shapes(blocks) == [
        ("message", "closed", TASK),
        ("reasoning", "closed", "2 and 3"),
        ("message", "closed", "Let me add."),
        ("function_call", "closed", '{"a": 2, "b": 3}'),
        ("function_result", "closed", "5"),
        ("message", "closed", "It is 5"),
    ]
    assert [block.role for block in blocks] == ["user", "assistant", "assistant", "assistant", "tool", "assistant"]
    assert {block.author for block in blocks[1:]} == {"helper"}
    made, result = blocks[3], blocks[4]
    assert (made.data["name"], made.data["arguments"]) == ("add", {"a": 2, "b": 3})
    assert (result.parent_id, result.data["call_id"]) == (made.id, made.data["call_id"])
    assert (result.data["is_error"], result.data["response"]) == (False, {"result": 5})
    assert [block.usage for block in blocks if block.usage] == [
        {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    ]
    assert [block.text for block in await history.get_messages(tags=[("answer", "final")])] == ["It is 5"]
    [found] = await history.runs()
    assert (found.state, {block.run_id for block in blocks}) == ("completed", {found.id})


async def test_the_stream_is_found_by_its_events(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    for plugins in ([], [Recorder(async_store, strict=True)]):
        prompt = None if plugins else TASK
        async for _ in record_any(await Running(adding(), *plugins).events(), history, strict=True, prompt=prompt):
            pass
    once, again = [[block.text for block in await history.get_messages(run=one.id)] for one in await history.runs()]
    assert once == again
    assert len(once) == 6


async def test_an_answer_that_is_not_streamed_is_one_block(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    await run("plugin", agent([says(text("It is 5"), usage_metadata=spent(3, 2))]), async_store, strict=True)
    [_, answer] = await history.get_messages()
    assert (answer.text, answer.usage and answer.usage["output_tokens"]) == ("It is 5", 2)


async def test_thoughts_between_text_keep_their_places(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    think = lambda said: text(said, thought=True)  # noqa: E731
    pieces = [piece(think("one")), piece(text("two ")), piece(think("three")), piece(text("four"))]
    await run("plugin", agent([*pieces, says(think("onethree"), text("two four"))]), async_store, strict=True)
    assert [block.text for block in await history.get_messages()] == [TASK, "one", "two ", "three", "four"]
    assert (await history.runs())[0].state == "completed"


async def test_text_that_ends_otherwise_is_kept_beside(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    await run("plugin", agent([piece(text("Helo")), says(text("Hello"))]), async_store, strict=True)
    answer = (await history.get_messages())[-1]
    assert (answer.text, answer.data["final_text"]) == ("Helo", "Hello")


async def test_a_call_is_open_until_it_is_answered(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    seen: list[str] = []

    async def look() -> dict[str, str]:
        """Looks."""
        seen.extend(block.state for block in await history.get_messages(types=["function_call"]))
        await history.append_status_message("looking")
        return {"error": "it is dark"}

    made = agent([says(call("look"), usage_metadata=spent(1, 1))], streamed("done"), tools=[look])
    await run("plugin", made, async_store, strict=True)
    assert seen == ["open"]
    [made_call, status, result] = await history.get_messages(types=["function_call", "status", "function_result"])
    assert (made_call.state, made_call.usage and made_call.usage["total_tokens"]) == ("closed", 2)
    assert status.run_id == made_call.run_id
    assert (result.text, result.data["is_error"]) == ("it is dark", True)


async def test_parallel_calls_keep_their_own_results(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    async def say(word: str) -> str:
        """Says."""
        return word

    await run(
        "plugin", agent([says(call("say", word="a"), call("say", word="b"))], streamed("ab"), tools=[say]), async_store
    )
    made = {block.id: block.data["arguments"]["word"] for block in await history.get_messages(types=["function_call"])}
    results = await history.get_messages(types=["function_result"])
    assert [(made[block.parent_id or ""], block.text) for block in results] == [("a", "a"), ("b", "b")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_tool_that_raises_fails_the_run_and_its_call(
    way: str, async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    def broken() -> str:
        """Is broken."""
        raise KeyError("gone")

    with pytest.raises(KeyError):
        await run(way, agent([says(call("broken"))], tools=[broken]), async_store)
    assert (await history.runs())[0].state == "failed"
    assert [block.state for block in await history.get_messages(types=["function_call"])] == ["failed"]


async def test_a_tool_that_takes_long_is_answered_in_another_turn(
    async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    def ask(question: str) -> dict[str, str]:
        """Asks somebody."""
        return {"status": "pending"}

    made = agent(
        [says(call("ask", question="ok?"))], streamed("I wait"), streamed("Fine"), tools=[LongRunningFunctionTool(ask)]
    )
    running = Running(made, Recorder(async_store, strict=True))
    async for _ in await running.events():
        pass
    [asked] = await history.get_messages(types=["function_call"])
    assert (asked.data["long_running"], asked.state) == (True, "closed")
    response = types.FunctionResponse(id=asked.data["call_id"], name="ask", response={"status": "yes"})
    answer = types.Content(role="user", parts=[types.Part(function_response=response)])
    async for _ in await running.events(answer):
        pass
    results = await history.get_messages(types=["function_result"])
    assert [(block.text, block.author) for block in results] == [
        ('{"status": "pending"}', "helper"),
        ('{"status": "yes"}', None),
    ]
    assert [one.state for one in await history.runs()] == ["completed"] * 2


async def test_who_speaks_next_is_a_handoff(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    second = agent(streamed("I am here"), name="second")
    first = agent([says(call("transfer_to_agent", agent_name="second"))], sub_agents=[second])
    await run("plugin", first, async_store, strict=True)
    [handoff] = await history.get_messages(types=["handoff"])
    assert (handoff.author, handoff.data["target"]) == ("helper", "second")
    [answer] = await history.get_messages(tags=[("answer", "final")])
    assert (answer.author, answer.text) == ("second", "I am here")


@pytest.mark.filterwarnings("ignore:The `plugins` argument is deprecated:DeprecationWarning")  # the framework's own
async def test_an_agent_that_is_a_tool_is_a_run_below_and_internal(
    async_store: AsyncChatStore, history: AsyncHistory
) -> None:
    inner = agent(streamed("inner says"), name="inner")
    made = agent([says(call("inner", request="what?"))], streamed("outer says"), tools=[AgentTool(inner)])
    await run("plugin", made, async_store, strict=True)
    outer, below = await history.runs()
    assert (below.parent_run_id, outer.state, below.state) == (outer.id, "completed", "completed")
    blocks = await history.get_messages(types=["message"])
    assert [(block.text, block.internal, block.run_id == below.id) for block in blocks] == [
        (TASK, False, False),
        ("what?", True, True),
        ("inner says", True, True),
        ("outer says", False, False),
    ]
    assert len(await async_store.contexts()) == 1
    assert [block.text for block in await history.get_messages(tags=[("answer", "final")])] == ["outer says"]


async def test_state_and_artifacts_are_statuses(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    async def note(tool_context: ToolContext) -> str:
        """Notes."""
        tool_context.state["city"] = "Paris"
        tool_context.state["temp:key"] = "secret"
        await tool_context.save_artifact("note.txt", text("noted"))
        return "noted"

    await run("plugin", agent([says(call("note"))], streamed("done"), tools=[note]), async_store, strict=True)
    state, artifact = await history.get_messages(types=["status"])
    assert (state.data["state_delta"], state.internal) == ({"city": "Paris"}, True)
    assert (artifact.text, artifact.data["artifact_delta"]) == ("note.txt", {"note.txt": 0})


async def test_an_error_that_is_an_event_fails_the_run(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    refused = says(error_code="SAFETY", error_message="no", partial=None)
    refused.content = None
    await run("plugin", agent([piece(text("half")), refused]), async_store, strict=True)
    assert shapes(await history.get_messages())[1:] == [("message", "failed", "half"), ("error", "closed", "no")]
    [found] = await history.runs()
    assert (found.state, found.error and found.error.message) == ("failed", "SAFETY: no")


async def test_pictures_are_parts(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    picture = types.Part(inline_data=types.Blob(data=PNG, mime_type="image/png"))
    asked = types.Content(role="user", parts=[text("Look"), picture])
    running = Running(agent([says(text("Here"), picture)]), Recorder(async_store, strict=True))
    async for _ in await running.events(asked):
        pass
    question, answer = await history.get_messages()
    assert [(block.text, block.parts[0].type) for block in (question, answer)] == [("Look", "image"), ("Here", "image")]
    assert await async_store.read_bytes(question.parts[0]) == PNG


async def test_a_function_gives_the_context(async_store: AsyncChatStore) -> None:
    recorder = Recorder(async_store, context=lambda ic: f"chat-{ic.session.id}", internal=True, strict=True)
    seen: list[str | None] = []
    async for event in await Running(agent(streamed("hello")), recorder).events():
        seen.append(recorder.run_id(event.invocation_id))
    blocks = await async_store.history("chat-s").get_messages()
    assert [(block.text, block.internal) for block in blocks] == [(TASK, False), ("hello", True)]
    assert {*seen} == {blocks[0].run_id}
    assert recorder.run_id("other") is None


async def test_two_sessions_at_once_see_nothing_of_each_other(async_store: AsyncChatStore) -> None:
    recorder = Recorder(async_store, context=lambda ic: ic.user_content.parts[0].text, strict=True)

    async def talk(name: str) -> None:
        async for _ in await Running(agent(streamed(name, " says")), recorder).events(message(name)):
            await asyncio.sleep(0)

    await asyncio.gather(talk("one"), talk("two"))
    for name in ("one", "two"):
        assert texts(await async_store.history(name).get_messages(), "message") == [name, f"{name} says"]


async def stream(*events: Any) -> AsyncIterator[Any]:
    for event in events:
        yield event


def event(*parts: types.Part, **more: Any) -> Event:
    content = types.Content(role="model", parts=[*parts]) if parts else None
    return Event(author="helper", invocation_id="i", content=content, **more)


async def test_code_escalation_and_compaction(history: AsyncHistory) -> None:
    code = types.Part(executable_code=types.ExecutableCode(code="print(5)", language=types.Language.PYTHON))
    result = types.Part(code_execution_result=types.CodeExecutionResult(output="5", outcome=types.Outcome.OUTCOME_OK))
    events = [event(code, result), event(actions=EventActions(escalate=True)), event(output={"sum": 5})]
    async for _ in record(stream(*events), history, strict=True):
        pass
    blocks = await history.get_messages()
    assert [(block.type, block.text) for block in blocks] == [
        ("code", "print(5)"),
        ("code_result", "5"),
        ("status", "escalated"),
        ("output", '{"sum": 5}'),
    ]
    assert blocks[3].data["output"] == {"sum": 5}


async def test_what_is_spoken_is_text_and_who_speaks_between_interrupts(history: AsyncHistory) -> None:
    heard = lambda said, done: types.Transcription(text=said, finished=done)  # noqa: E731
    events = [
        event(input_transcription=heard("What ", False), partial=True),
        event(input_transcription=heard("What time?", True)),
        event(output_transcription=heard("It is ", False), partial=True),
        event(interrupted=True),
        event(text("Yes?")),
    ]
    async for _ in record(stream(*events), history, strict=True):
        pass
    blocks = await history.get_messages()
    assert [(block.role, block.text) for block in blocks] == [
        ("user", "What time?"),
        ("assistant", "It is "),
        (None, "interrupted"),
        ("assistant", "Yes?"),
    ]
    assert blocks[1].data["interrupted"] is True


async def test_what_asks_for_a_credential_tells_no_secret(history: AsyncHistory) -> None:
    asking = call("adk_request_credential", function_call_id="c1", auth_config={"client_secret": "s3cret"})
    async for _ in record(stream(event(asking, long_running_tool_ids={"x"})), history):
        pass
    [made] = await history.get_messages()
    assert made.data["arguments"] == {"function_call_id": "c1"}


async def test_events_that_are_unknown_are_passed_by(history: AsyncHistory) -> None:
    class Tomorrow:
        author = "helper"

    given = [Tomorrow(), object(), event(text("x"))]
    assert [one async for one in record(stream(*given), history, strict=True)] == given
    assert texts(await history.get_messages(), "message") == ["x"]


async def test_what_ends_behind_the_result_of_a_tool_is_whole(history: AsyncHistory) -> None:
    response = types.Part(function_response=types.FunctionResponse(name="exit_loop", response={}))
    left = EventActions(skip_summarization=True, escalate=True)
    for found in (record, record_any):
        async for _ in found(stream(event(call("exit_loop")), event(response, actions=left)), history, strict=True):
            pass
    assert [one.state for one in await history.runs()] == ["completed"] * 2
    made = await history.get_messages(types=["function_call"])
    results = await history.get_messages(types=["function_result"])
    assert [block.parent_id for block in results] == [block.id for block in made]


async def test_who_stops_behind_a_result_cancels(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    made: Any = await Running(adding(), Recorder(async_store, strict=True)).events()
    async for one in made:
        if one.get_function_responses():
            break
    await made.aclose()
    assert [one.state for one in await history.runs()] == ["cancelled"]
