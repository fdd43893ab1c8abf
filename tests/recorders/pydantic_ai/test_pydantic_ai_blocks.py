"""What is stored of the runs of agents, by each of the three ways to record them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, DeferredToolRequests, ImageUrl, ModelRetry, RunContext, ToolFailed
from pydantic_ai.messages import (
    CustomEvent,
    FilePart,
    NativeToolCallPart,
    NativeToolReturnPart,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    ToolCallPart,
    ToolCallPartDelta,
)
from recorded import CONTEXT, shapes, texts
from scripted_agents import add, adding, agent, call

from chatstore import AsyncChatStore, AsyncHistory, Block
from chatstore.recorders import record as record_any
from chatstore.recorders.pydantic_ai import Recorder, record, recording

TASK = "Add 2 and 3"
WAYS = ("capability", "handler", "stream", "found")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history(CONTEXT)


async def done(way: str, made: Agent[Any, Any], history: AsyncHistory, prompt: Any = TASK, **options: Any) -> Any:
    """Runs an agent, recorded in this way; its output."""
    if way == "capability":
        return (await made.run(prompt, capabilities=[Recorder(history, strict=True)], **options)).output
    if way == "handler":
        async with recording(history, strict=True) as handler:
            return (await made.run(prompt, event_stream_handler=handler, **options)).output
    recorded: Callable[..., Any] = record if way == "stream" else record_any
    async with made.run_stream_events(prompt, **options) as events:
        async for event in recorded(events, history, strict=True, prompt=prompt, author="helper"):
            last = event
    return last.result.output


async def blocks_of(history: AsyncHistory) -> list[Block]:
    return [block for block in await history.get_messages() if block.type != "model_messages"]


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_streamed_and_what_is_said_at_the_end_are_one_block(way: str, history: AsyncHistory) -> None:
    assert await done(way, adding(), history) == "It is 5"
    blocks = await blocks_of(history)
    assert shapes(blocks) == [
        ("message", "closed", TASK),
        ("message", "closed", "Let me add."),
        ("reasoning", "closed", "2 and 3"),
        ("function_call", "closed", '{"a": 2, "b": 3}'),
        ("function_result", "closed", "5"),
        ("message", "closed", "It is 5"),
    ]
    assert [block.role for block in blocks] == ["user", "assistant", "assistant", "assistant", "tool", "assistant"]
    assert {block.author for block in blocks[1:]} == {"helper"}
    assert blocks[2].data["signature"] == "sig"
    made, result = blocks[3], blocks[4]
    assert (made.data["name"], made.data["call_id"], made.data["arguments"]) == ("add", "call_1", {"a": 2, "b": 3})
    assert (result.parent_id, result.data["is_error"]) == (made.id, False)
    assert [(tag.kind, tag.name) for tag in blocks[5].tags] == [("answer", "final")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_run_has_one_end_and_its_cost_once(way: str, history: AsyncHistory) -> None:
    await done(way, adding(), history)
    [run] = await history.runs()
    assert run.state == "completed"
    assert run.usage is not None
    assert run.usage["requests"] == 2
    assert not any(block.usage for block in await history.get_messages())


async def test_a_call_is_open_until_it_is_answered(history: AsyncHistory) -> None:
    seen: list[list[str]] = []

    async def look() -> str:
        """Looks."""
        seen.append([block.state for block in await history.get_messages(types=["function_call"])])
        return "seen"

    await done("capability", agent(call("look", "{}"), ["done"], tools=[look]), history)
    assert seen == [["open"]]
    assert [block.state for block in await history.get_messages(types=["function_call"])] == ["closed"]


async def test_what_a_tool_writes_is_of_the_run(history: AsyncHistory) -> None:
    async def tell() -> str:
        """Tells."""
        await history.append_status_message("telling")
        return "told"

    for way in ("capability", "handler", "stream"):
        await done(way, agent(call("tell", "{}"), ["done"], tools=[tell]), history)
    told = await history.get_messages(types=["status"])
    assert [block.run_id for block in told] == [run.id for run in await history.runs()]


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_tool_asks_to_do_again_is_an_error(way: str, history: AsyncHistory) -> None:
    def again(x: int) -> str:
        """Again."""
        if x == 1:
            raise ModelRetry("take 2")
        raise ToolFailed("it is broken")

    made = agent(call("again", '{"x": 1}'), call("again", '{"x": 2}', id="call_2"), ["well"], tools=[again])
    await done(way, made, history)
    results = await history.get_messages(types=["function_result"])
    assert [(block.data["is_error"], block.data["outcome"]) for block in results] == [
        (True, "retried"),
        (True, "failed"),
    ]
    calls = {block.id: block.data["call_id"] for block in await history.get_messages(types=["function_call"])}
    assert [calls[block.parent_id or ""] for block in results] == ["call_1", "call_2"]


async def test_arguments_that_are_invalid_are_kept_as_they_came(history: AsyncHistory) -> None:
    await done("capability", agent(call("add", '{"a": "x"}'), ["well"], tools=[add]), history)
    [made] = await history.get_messages(types=["function_call"])
    [result] = await history.get_messages(types=["function_result"])
    assert (made.text, result.data["is_error"]) == ('{"a": "x"}', True)
    assert result.data["content"][0]["loc"] == ["a"]


async def test_parallel_calls_keep_their_own_results(history: AsyncHistory) -> None:
    first = [*call("add", '{"a": 1, "b": 1}', id="one", at=0), *call("add", '{"a": 2, "b": 2}', id="two", at=1)]
    await done("stream", agent(first, ["2 and 4"], tools=[add]), history)
    made = {block.id: block.data["call_id"] for block in await history.get_messages(types=["function_call"])}
    results = await history.get_messages(types=["function_result"])
    assert {(made[block.parent_id or ""], block.text) for block in results} == {("one", "2"), ("two", "4")}


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("way", ["capability", "stream"])
async def test_an_answer_by_a_tool_is_a_message(way: str, history: AsyncHistory) -> None:
    made = agent(call("final_result", '{"name": "Paris",', ' "people": 2}'), output_type=City)
    assert await done(way, made, history) == City(name="Paris", people=2)
    assert (await history.get_messages(types=["function_call"]))[0].state == "closed"
    [answer] = await history.get_messages(tags=[("answer", "final")])
    assert (answer.role, answer.text) == ("assistant", '{"name": "Paris", "people": 2}')
    assert answer.data["output"] == {"name": "Paris", "people": 2}


async def test_a_handler_knows_of_an_answer_by_a_tool_the_call(history: AsyncHistory) -> None:
    await done("handler", agent(call("final_result", '{"name": "Paris", "people": 2}'), output_type=City), history)
    [answer] = await history.get_messages(tags=[("answer", "final")])
    assert (answer.type, answer.data["arguments"]["name"]) == ("function_call", "Paris")
    assert (await history.runs())[0].state == "completed"


@pytest.mark.parametrize("way", WAYS)
async def test_calls_that_wait_for_somebody_are_told(way: str, history: AsyncHistory) -> None:
    made: Agent[Any, Any] = agent(call("delete", '{"name": "x"}'), ["deleted"], output_type=[str, DeferredToolRequests])

    @made.tool_plain(requires_approval=True)
    def delete(name: str) -> str:
        """Deletes."""
        return f"{name} is gone"

    requests = await done(way, made, history)
    assert isinstance(requests, DeferredToolRequests)
    [asked] = await history.get_messages(types=["input_request"])
    [waiting] = await history.get_messages(types=["function_call"])
    assert asked.data["waits_for"] == "approval"
    assert asked.parent_id == waiting.id
    assert (await history.runs())[0].state == "completed"
    assert not await history.get_messages(tags=[("answer", "final")])
    if way == "capability":
        results = requests.build_results(approve_all=True)
        remembered = await made_again(made, history, results)
        assert remembered == "deleted"
        assert texts(await history.get_messages(), "function_result") == ["x is gone"]


async def made_again(made: Agent[Any, Any], history: AsyncHistory, results: Any) -> Any:
    """Goes on with what the run before has left open."""
    from chatstore.recorders.pydantic_ai import messages

    remembered = await messages(history)
    recorder = Recorder(history, strict=True)
    return (await made.run(message_history=remembered, deferred_tool_results=results, capabilities=[recorder])).output


async def test_pictures_are_parts(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    def picture() -> list[Any]:
        """Gives one."""
        return ["here", BinaryContent(data=PNG, media_type="image/png")]

    prompt = ["Look", BinaryContent(data=PNG, media_type="image/png"), ImageUrl(url="https://example.org/a.png")]
    await done("capability", agent(call("picture", "{}"), ["nice"], tools=[picture]), history, prompt)
    asked, *_ = blocks = await blocks_of(history)
    assert (asked.text, [part.type for part in asked.parts]) == ("Look", ["image", "image"])
    assert await async_store.read_bytes(asked.parts[0]) == PNG
    assert asked.parts[1].url == "https://example.org/a.png"
    [result] = [block for block in blocks if block.type == "function_result"]
    assert (result.text, [part.digest for part in result.parts]) == ("here", [asked.parts[0].digest])


async def test_events_of_ones_own_are_statuses_below_their_call(history: AsyncHistory) -> None:
    @dataclass(kw_only=True)
    class HalfWayEvent(CustomEvent):
        done: int

    made = agent(call("work", "{}"), ["done"])

    @made.tool
    async def work(ctx: RunContext[Any]) -> str:
        """Works."""
        await ctx.emit(HalfWayEvent(done=50))
        return "worked"

    await done("capability", made, history)
    [status] = await history.get_messages(types=["status"])
    assert (status.text, status.data["event"]["done"]) == ("half_way", 50)
    assert status.parent_id == (await history.get_messages(types=["function_call"]))[0].id


async def test_an_agent_that_a_tool_runs_is_a_run_below(history: AsyncHistory) -> None:
    inner = agent(["inner says"])

    async def ask(ctx: RunContext[Any]) -> str:
        """Asks another agent."""
        return str((await inner.run("inner", capabilities=[Recorder(history, internal=True)], usage=ctx.usage)).output)

    await done("capability", agent(call("ask", "{}"), ["outer says"], tools=[ask]), history)
    outer, below = await history.runs()
    assert (outer.parent_run_id, below.parent_run_id) == (None, outer.id)
    assert [run.usage and run.usage["requests"] for run in (outer, below)] == [2, 1]
    assert texts(await history.get_messages(kind="transcript"), "message") == [TASK, "inner", "outer says"]


async def test_a_handler_of_two_agents_keeps_their_runs_apart(history: AsyncHistory) -> None:
    inner = agent(["inner says"])
    async with recording(history, strict=True) as handler:

        async def ask() -> str:
            """Asks another agent."""
            return str((await inner.run("inner", event_stream_handler=handler)).output)

        await agent(call("ask", "{}"), ["outer says"], tools=[ask]).run(TASK, event_stream_handler=handler)
    outer, below = await history.runs()
    assert (below.parent_run_id, outer.state, below.state) == (outer.id, "completed", "completed")
    said = {block.text: block.run_id for block in await history.get_messages(types=["message"], roles=["assistant"])}
    assert said == {"inner says": below.id, "outer says": outer.id}


@pytest.mark.parametrize("found", [record, record_any])
async def test_a_stream_with_both_is_stored_once(found: Callable[..., Any], history: AsyncHistory) -> None:
    async with adding().run_stream_events(TASK, capabilities=[Recorder(history, strict=True)]) as events:
        async for _ in found(events, history, strict=True):
            pass
    assert [run.state for run in await history.runs()] == ["completed"]
    assert texts(await history.get_messages(kind="transcript"), "message") == [TASK, "Let me add.", "It is 5"]


async def test_run_stream_is_recorded_to_its_end(history: AsyncHistory) -> None:
    async with agent(["It ", "is ", "5"]).run_stream(TASK, capabilities=[Recorder(history, strict=True)]) as result:
        assert [text async for text in result.stream_text(debounce_by=None)][-1] == "It is 5"
    assert texts(await history.get_messages(), "message") == [TASK, "It is 5"]
    assert (await history.runs())[0].state == "completed"


async def test_an_agent_has_the_history_of_its_deps(async_store: AsyncChatStore) -> None:
    recorder = Recorder(lambda ctx: async_store.history(ctx.deps), strict=True)
    made: Agent[str, str] = Agent(adding().model, deps_type=str, capabilities=[recorder], tools=[add])
    await made.run(TASK, deps="one")
    assert recorder.run_id is None
    assert texts(await async_store.history("one").get_messages(), "message") == [TASK, "Let me add.", "It is 5"]


async def stream(*events: Any) -> AsyncIterator[Any]:
    for event in events:
        yield event


async def test_what_a_provider_runs_itself_and_files(history: AsyncHistory) -> None:
    search = NativeToolCallPart("web_search", {"q": "x"}, "n1", provider_name="p")
    found = NativeToolReturnPart("web_search", [{"url": "u"}], "n1", provider_name="p")
    file = FilePart(BinaryContent(data=PNG, media_type="image/png"))
    events = [event for index, part in enumerate((search, found, file)) for event in _at_once(index, part)]
    async for _ in record(stream(*events), history, strict=True):
        pass
    made, result, picture = await blocks_of(history)
    assert (made.data["native"], made.data["arguments"], made.state) == (True, {"q": "x"}, "closed")
    assert (result.parent_id, result.text) == (made.id, '[{"url": "u"}]')
    assert (picture.role, picture.parts[0].mime_type) == ("assistant", "image/png")


def _at_once(index: int, part: Any) -> list[Any]:
    return [PartStartEvent(index=index, part=part), PartEndEvent(index=index, part=part)]


async def test_arguments_that_come_as_dicts_are_merged(history: AsyncHistory) -> None:
    whole = ToolCallPart("add", {"a": 1, "b": 2}, "c")
    events = [
        PartStartEvent(index=0, part=ToolCallPart("add", {"a": 1}, "c")),
        PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta={"b": 2}, tool_call_id="c")),
        PartEndEvent(index=0, part=whole),
    ]
    async for _ in record(stream(*events), history, strict=True):
        pass
    [made] = await history.get_messages()
    assert (made.text, made.data["arguments"]) == ('{"a": 1, "b": 2}', {"a": 1, "b": 2})


async def test_a_part_that_is_replaced_says_so(history: AsyncHistory) -> None:
    first, other = PartStartEvent(index=0, part=TextPart("Hel")), PartStartEvent(index=0, part=TextPart("Good"))
    async for _ in record(stream(first, other, PartEndEvent(index=0, part=TextPart("Good day"))), history, strict=True):
        pass
    blocks = await history.get_messages()
    assert [(block.text, "replaced" in block.data) for block in blocks] == [("Hel", True), ("Good day", False)]


async def test_events_and_fields_that_are_unknown_are_passed_by(history: AsyncHistory) -> None:
    class Unknown:
        event_kind = "of_tomorrow"

    class Bare:
        event_kind = "part_start"

    given = [Unknown(), object(), Bare(), *_at_once(0, TextPart("x"))]
    assert [event async for event in record(stream(*given), history, strict=True)] == given
    assert texts(await history.get_messages(), "message") == ["x"]
