"""What agents of the SDK do, and how their runs end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import GuardrailFunctionOutput, function_tool, input_guardrail, output_guardrail
from agents.exceptions import InputGuardrailTripwireTriggered, MaxTurnsExceeded, OutputGuardrailTripwireTriggered
from scripted_agents import add, adder, agent, boom, call, growing, message, run, shapes, thought

from chatstore import AsyncChatStore, AsyncHistory, Block, Run
from chatstore.recorders.openai_agents import ChatStoreSession, record

COST = {
    "requests": 1,
    "input_tokens": 10,
    "output_tokens": 4,
    "total_tokens": 14,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 1},
}


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history("chat")


async def played(history: AsyncHistory, made: Any, asked: Any = "Go", **options: Any) -> tuple[list[Block], Run]:
    """What is stored of a run without a session."""
    async for _ in record(run(made, asked, **options), history, strict=True):
        pass
    return await history.get_messages(), (await history.runs())[-1]


async def refused(history: AsyncHistory, made: Any, error: type[Exception], **options: Any) -> tuple[list[Block], Run]:
    """The same of one that raises."""
    with pytest.raises(error):
        await played(history, made, **options)
    return await history.get_messages(), (await history.runs())[-1]


async def test_what_it_thinks_calls_and_says(history: AsyncHistory) -> None:
    blocks, done = await played(history, adder(), "Add 2 and 3")
    assert shapes(blocks) == [
        ("message", "closed", None, "Add 2 and 3"),
        ("reasoning", "closed", "adder", "I have to add"),
        ("function_call", "closed", "adder", '{"a": 2, "b": 3}'),
        ("function_result", "closed", "adder", "5"),
        ("message", "closed", "adder", "The sum is 5"),
    ]
    assert blocks[2].data["arguments"] == {"a": 2, "b": 3}
    assert blocks[3].parent_id == blocks[2].id
    assert blocks[3].data == {"call_id": "c1", "name": "add", "is_error": False}
    assert [tag.name for tag in blocks[4].tags] == ["final"]
    assert blocks[4].data["message_id"].startswith("msg_")
    assert (done.state, done.usage["requests"], done.usage["total_tokens"]) == ("completed", 2, 28)
    assert all(block.run_id == done.id for block in blocks)


async def test_events_are_the_same_as_without_the_recorder(history: AsyncHistory) -> None:
    def plain(event: Any) -> Any:
        return event.type, getattr(event, "name", None), getattr(getattr(event, "data", None), "type", None)

    expected = [plain(event) async for event in run(adder()).stream_events()]
    result = run(adder(), session=ChatStoreSession(history))
    assert [plain(event) async for event in record(result, history, strict=True)] == expected
    assert result.final_output == "The sum is 5"


async def test_arguments_and_text_grow_as_they_stream(history: AsyncHistory) -> None:
    grown: list[tuple[str, str]] = []
    async for event in record(run(adder()), history, strict=True):
        if getattr(getattr(event, "data", None), "type", "").endswith(".delta"):
            last = await history.get_block((await history.get_messages(last=1))[0].id)
            grown.append((last.type, last.state))
    assert {*grown} == {("reasoning", "open"), ("function_call", "open"), ("message", "open")}


async def test_tools_at_once_and_their_errors(history: AsyncHistory) -> None:
    first = asyncio.Event()

    @function_tool
    async def wait(x: int) -> str:
        if x == 2:
            first.set()
        await first.wait()
        return f"waited {x}"

    calls = [call("wait", '{"x": 1}', "c1"), call("wait", '{"x": 2}', "c2"), call("boom", "{}", "c3")]
    blocks, _ = await played(history, agent("a", calls, [message("done")], tools=[wait, boom]))
    made = {block.id: block.data["call_id"] for block in blocks if block.type == "function_call"}
    results = [block for block in blocks if block.type == "function_result"]
    assert [(made[block.parent_id or ""], block.data["call_id"]) for block in results] == [
        ("c1", "c1"),
        ("c2", "c2"),
        ("c3", "c3"),
    ]
    assert [block.text for block in results[:2]] == ["waited 1", "waited 2"]
    assert "error" in results[2].text


async def test_a_handoff_and_who_speaks_then(history: AsyncHistory) -> None:
    second = agent("second", [message("I am the second")])
    first = agent("first", [message("One moment"), call("transfer_to_second", "{}", "h1")], handoffs=[second])
    blocks, done = await played(history, first)
    assert shapes(blocks)[1:] == [
        ("message", "closed", "first", "One moment"),
        ("function_call", "closed", "first", "{}"),
        ("function_result", "closed", "first", '{"assistant": "second"}'),
        ("handoff", "closed", "first", "second"),
        ("message", "closed", "second", "I am the second"),
    ]
    assert blocks[4].data == {"source": "first", "target": "second"}
    assert done.usage["requests"] == 2


async def test_agents_that_are_tools_are_internal_and_below_their_call(history: AsyncHistory) -> None:
    inner = agent("inner", [call("add", '{"a": 1, "b": 1}', "c1")], [message("It is 2")], tools=[add])
    recording: Any = None

    async def told(event: Any) -> None:
        await recording.take(event)

    tools = [inner.as_tool("ask", "Asks", on_stream=told)]
    outer = agent("outer", [call("ask", '{"input": "1 + 1"}', "k1")], [message("Two")], tools=tools)
    recording = record(run(outer, "Go"), history, strict=True)
    async for _ in recording:
        pass
    blocks = await history.get_messages()
    asked = blocks[1]
    own = [block for block in blocks if block.internal]
    assert shapes(own) == [
        ("function_call", "closed", "inner", '{"a": 1, "b": 1}'),
        ("function_result", "closed", "inner", "2"),
        ("message", "closed", "inner", "It is 2"),
    ]
    assert [own[0].parent_id, own[2].parent_id] == [asked.id, asked.id]
    assert own[1].parent_id == own[0].id
    assert [block.text for block in await history.get_messages(kind="transcript")] == ["Go", "Two"]
    [done] = await history.runs()
    assert (done.state, done.usage["requests"]) == ("completed", 4)
    assert (asked.author, asked.data["name"]) == ("outer", "ask")


async def test_an_input_guardrail(history: AsyncHistory) -> None:
    @input_guardrail
    async def never(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    made = agent("guarded", [message("no")], input_guardrails=[never])
    blocks, done = await refused(history, made, InputGuardrailTripwireTriggered)
    assert (blocks[0].text, done.state) == ("Go", "failed")
    assert done.error is not None
    assert done.error.type == "InputGuardrailTripwireTriggered"


async def test_an_output_guardrail(history: AsyncHistory) -> None:
    @output_guardrail
    async def never(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    made = agent("guarded", [message("bad words")], output_guardrails=[never])
    _, done = await refused(history, made, OutputGuardrailTripwireTriggered)
    assert done.error is not None
    assert (done.state, done.error.type) == ("failed", "OutputGuardrailTripwireTriggered")
    assert done.usage == COST


async def test_too_many_turns(history: AsyncHistory) -> None:
    made = agent("a", *[[call("add", '{"a": 1, "b": 1}')] for _ in range(4)], tools=[add])
    blocks, done = await refused(history, made, MaxTurnsExceeded, max_turns=2)
    assert done.error is not None
    assert (done.state, done.error.message) == ("failed", "Max turns (2) exceeded")
    assert [block.type for block in blocks] == ["message", *["function_call", "function_result"] * 2]


async def test_an_error_of_the_model_in_the_middle(history: AsyncHistory) -> None:
    read = asyncio.Event()  # the package gives out nothing of what nobody has read when an error comes
    result = run(agent("a", [growing("half of it", "half ", read, ValueError("the model is out"))]))
    with pytest.raises(ValueError, match="the model is out"):
        async for event in record(result, history, strict=True):
            if getattr(getattr(event, "data", None), "delta", "") == "half ":
                read.set()
    blocks, [done] = await history.get_messages(), await history.runs()
    assert shapes(blocks)[1:] == [("message", "failed", "a", "half ")]
    assert done.error is not None
    assert (done.error.type, done.error.message) == ("ValueError", "the model is out")


async def test_a_tool_whose_result_is_the_answer(history: AsyncHistory) -> None:
    made = agent("a", [call("add", '{"a": 1, "b": 1}')], tools=[add], tool_use_behavior="stop_on_first_tool")
    _, done = await played(history, made)
    assert done.state == "completed"


async def test_a_model_that_ends_without_a_whole_answer(history: AsyncHistory) -> None:
    class Silent(type(adder().model)):  # type: ignore[misc]
        async def stream_response(self, *_: Any, **__: Any) -> Any:
            for event in ():
                yield event

    made = agent("a")
    made.model = Silent()
    with pytest.raises(Exception, match="did not produce a final response"):
        await played(history, made)
    assert [one.state for one in await history.runs()] == ["failed"]


@pytest.mark.parametrize("with_session", [True, False])
async def test_a_run_that_waits_for_approval_and_goes_on(history: AsyncHistory, with_session: bool) -> None:
    @function_tool(needs_approval=True)
    async def danger() -> str:
        return "done it"

    session = ChatStoreSession(history) if with_session else None
    made = agent("a", [call("danger", "{}", "d1")], [message("finished")], tools=[danger])
    result = run(made, session=session)
    async for _ in record(result, history, strict=True):
        pass
    state = result.to_state()
    state.approve(result.interruptions[0])
    async for _ in record(run(made, state, session=session), history, strict=True):
        pass
    blocks = [block for block in await history.get_messages() if not block.type.startswith("session_")]
    assert shapes(blocks) == [
        ("message", "closed", None, "Add 2 and 3"),
        ("function_call", "closed", "a", "{}"),
        ("approval_request", "closed", "a", "danger"),
        ("function_result", "closed", "a", "done it"),
        ("message", "closed", "a", "finished"),
    ]
    assert [block.parent_id for block in blocks[2:4]] == [blocks[1].id] * 2
    runs = await history.runs()
    assert [(one.state, one.usage["total_tokens"]) for one in runs] == [("completed", 14), ("completed", 14)]
    if session is not None:
        assert [one.get("type", "message") for one in await session.get_items()] == [
            *("message", "function_call", "function_call_output", "message")
        ]


async def test_sealed_thoughts_are_kept(history: AsyncHistory) -> None:
    blocks, _ = await played(history, agent("a", [thought("", sealed="gAAA="), message("Yes")]))
    assert blocks[1].type == "reasoning"
    assert blocks[1].data["encrypted_content"] == "gAAA="


async def test_what_the_person_said(history: AsyncHistory) -> None:
    picture = {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QUJD"}
    asked = [
        {"role": "user", "content": "before"},
        {"role": "assistant", "content": "answered"},
        {"role": "user", "content": [{"type": "input_text", "text": "now"}, picture]},
    ]
    blocks, _ = await played(history, agent("a", [message("Yes")]), asked)
    assert [block.text for block in blocks] == ["now", "Yes"]
    assert [(part.type, part.size) for part in blocks[0].parts] == [("image", 3)]


async def test_a_prompt_in_other_words(history: AsyncHistory) -> None:
    session = ChatStoreSession(history)
    result = run(agent("a", [message("Yes")]), "<context> Hi", session=session)
    async for _ in record(result, session, prompt="Hi", strict=True):
        pass
    assert [block.text for block in await history.get_messages(kind="transcript")] == ["Hi", "Yes"]
    assert (await session.get_items())[0] == {"role": "user", "content": "<context> Hi"}


async def test_an_answer_that_is_asked_for_again(history: AsyncHistory) -> None:
    """As the package does it where a model breaks off before it said anything that counts."""
    first, second = adder(), agent("a", [message("Whole")])
    events = [event async for event in run(first).stream_events()][:5]
    events += [event async for event in run(second).stream_events()]

    async def source() -> Any:
        for event in events:
            yield event

    async for _ in record(source(), history, strict=True):
        pass
    assert [(block.state, block.text) for block in await history.get_messages()] == [
        ("failed", "I have "),
        ("closed", "Whole"),
    ]


async def test_events_that_nobody_knows_are_passed_by(history: AsyncHistory) -> None:
    class New:
        type = "something_new_event"

    async def source() -> Any:
        yield New()
        async for event in run(agent("a", [message("Yes")])).stream_events():
            yield event
            yield object()

    assert len([event async for event in record(source(), history, strict=True)]) > 7
    assert [one.state for one in await history.runs()] == ["completed"]
