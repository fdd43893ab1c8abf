"""Agents of `create_agent`, models and tools by themselves: what the callbacks tell is what is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from scripted_chat import USAGE, Recorded, add, adder, ask, boom, call, lines, model, plain, spent

from chatstore import to_anthropic, to_openai

WHOLE = [
    ("message", None, "add 2 and 3"),
    ("message", "calculator", "Let me see. "),
    ("function_call", "calculator", '{"a": 2, "b": 3}'),
    ("function_result", "calculator", "5"),
    ("message", "calculator", "It is 5."),
]
ROLES = ["user", "assistant", "tool", "assistant"]


def test_an_agent_that_streams(recorded: Recorded) -> None:
    expected = plain([*adder().stream(ask(), stream_mode="messages")])
    given = recorded.stream(adder(), ask())
    assert [one[0] for one in plain(given)] == [one[0] for one in expected]
    blocks = recorded.blocks()
    assert lines(blocks) == WHOLE
    asked, _, called, result, answer = blocks
    assert (asked.role, asked.run_id) == ("user", recorded.runs()[0].id)
    assert called.data == {"name": "add", "call_id": "c1", "arguments": {"a": 2, "b": 3}}
    assert called.usage == USAGE
    assert result.parent_id == called.id
    assert result.data == {"name": "add", "call_id": "c1", "is_error": False}
    assert [tag.name for tag in answer.tags] == ["final"]
    assert {block.state for block in blocks} == {"closed"}
    assert [run.state for run in recorded.runs()] == ["completed"]


@pytest.mark.parametrize("live", [False, True])
def test_an_agent_that_is_invoked(recorded: Recorded, live: bool) -> None:
    expected = plain(adder().invoke(ask()))
    assert plain(recorded.invoke(adder(), ask(), live=live)) == expected
    assert lines(recorded.blocks()) == WHOLE


def test_a_message_that_does_not_stream_is_stored_whole(recorded: Recorded) -> None:
    asks = AIMessage("Let me see. ", tool_calls=[{"name": "add", "args": {"a": 2, "b": 3}, "id": "c1"}])
    asks.usage_metadata = USAGE
    recorded.invoke(adder(asks, AIMessage("It is 5.")), ask())
    assert lines(recorded.blocks()) == WHOLE
    assert [block.usage for block in recorded.blocks()] == [None, None, USAGE, None, None]


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
def test_the_streaming_events_of_version_3(recorded: Recorded) -> None:
    def read(_: Any, config: Any) -> Any:
        return [*adder().stream_events(ask(), config, version="v3")]

    async def aread(_: Any, config: Any) -> Any:
        return [one async for one in await adder().astream_events(ask(), config, version="v3")]

    recorded.run(read if recorded.face == "sync" else aread)
    assert lines(recorded.blocks()) == WHOLE


def test_the_events_of_version_2(path: Any) -> None:
    async def read(_: Any, config: Any) -> Any:
        return [one["event"] async for one in adder().astream_events(ask(), config, version="v2")]

    recorded = Recorded("async", path)
    assert "on_chat_model_stream" in recorded.run(read)
    assert lines(recorded.blocks()) == WHOLE


def test_calls_whose_pieces_come_in_turn(recorded: Recorded) -> None:
    pieces = [call("add", '{"a": 2', "x", 0), call("add", '{"a"', "y", 1), call("", ', "b": 3}', None, 0)]
    recorded.stream(adder([*pieces, call("", ': 4, "b": 5}', None, 1)], ["5 and 9"]), ask())
    first, second = recorded.blocks(types=["function_call"])
    assert (first.text, second.text) == ('{"a": 2, "b": 3}', '{"a": 4, "b": 5}')
    results = {block.parent_id: block.text for block in recorded.blocks(types=["function_result"])}
    assert results == {first.id: "5", second.id: "9"}


def test_ids_that_a_model_uses_again(recorded: Recorded) -> None:
    sums = [[call("add", '{"a": 2, "b": 3}', "same")], [call("add", '{"a": 4, "b": 5}', "same")], ["done"]]
    recorded.stream(adder(*sums), ask())
    calls, results = (recorded.blocks(types=[type]) for type in ("function_call", "function_result"))
    assert [(block.text, block.parent_id) for block in results] == [("5", calls[0].id), ("9", calls[1].id)]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"type": "thinking", "thinking": "I ", "index": 0}, {"type": "thinking", "thinking": "add", "index": 0}],
        [{"type": "reasoning", "reasoning": "I add", "index": 0}],
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "I add"}], "index": 0}],
        [{"type": "reasoning_content", "reasoning_content": {"text": "I add"}, "index": 0}],
    ],
)
def test_thoughts(recorded: Recorded, pieces: list[Any]) -> None:
    signed = {"type": "thinking", "thinking": "", "signature": "s1", "index": 0}
    said = [{"type": "text", "text": "5", "index": 1}]
    recorded.stream(model([*(AIMessageChunk([one]) for one in [*pieces, signed]), AIMessageChunk(said)]), "hi", None)
    _, thought, answer = recorded.blocks()
    assert (thought.type, thought.text, thought.data["signature"]) == ("reasoning", "I add", "s1")
    assert (answer.type, answer.text) == ("message", "5")


def test_thoughts_in_a_field_of_their_own_and_thoughts_that_do_not_stream(recorded: Recorded) -> None:
    recorded.stream(model([AIMessageChunk("", additional_kwargs={"reasoning_content": "hm"}), "yes"]), "hi", None)
    whole = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "yes"}]
    recorded.invoke(model(AIMessage(whole)), "hi")
    said = [(block.type, block.text) for block in recorded.blocks() if block.role == "assistant"]
    assert said == [("reasoning", "hm"), ("message", "yes")] * 2


def test_a_model_that_stops_early(recorded: Recorded) -> None:
    cut = AIMessage("It is", response_metadata={"finish_reason": "length", "model_name": "m-1"})
    recorded.invoke(model(cut), "hi")
    last = recorded.blocks()[-1]
    assert [(tag.kind, tag.name) for tag in last.tags] == [("stop_reason", "length"), ("answer", "final")]
    assert last.data["model"] == "m-1"


def test_an_error_of_a_tool_is_told_as_the_model_hears_it(recorded: Recorded) -> None:
    asks = [call("add", '{"a": "x", "b": 3}'), call("nothing", "{}", "c2", 1)]
    recorded.stream(adder(asks, ["I cannot"]), ask())
    results = recorded.blocks(types=["function_result"])
    assert {block.data["call_id"]: block.data["is_error"] for block in results} == {"c1": True, "c2": True}
    assert {block.parent_id for block in results} == {block.id for block in recorded.blocks(types=["function_call"])}
    assert "Please fix the error" in next(block.text for block in results if block.data["call_id"] == "c1")


def test_an_error_of_a_tool_that_ends_the_run(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="boom"):
        recorded.stream(adder([call("boom", '{"x": 1}')], tools=[boom]), ask())
    result = recorded.blocks(types=["function_result"])[0]
    assert (result.text, result.data["is_error"]) == ("ValueError: boom", True)
    [run] = recorded.runs()
    assert (run.state, run.error.type, run.error.message) == ("failed", "ValueError", "boom")


def test_an_error_of_a_model_keeps_what_it_said(recorded: Recorded) -> None:
    with pytest.raises(RuntimeError, match="overloaded"):
        recorded.stream(adder(["half ", "of it", RuntimeError("overloaded")]), ask())
    last = recorded.blocks()[-1]
    assert (last.text, last.state) == ("half of it", "failed")
    assert [run.state for run in recorded.runs()] == ["failed"]


def test_a_fallback_is_no_failure(recorded: Recorded) -> None:
    chain = model(["half", RuntimeError("overloaded")]).with_fallbacks([model(["whole"])])
    recorded.invoke(chain, "hi", live=True)
    assert [(block.text, block.state) for block in recorded.blocks()][1:] == [("half", "failed"), ("whole", "closed")]
    assert [run.state for run in recorded.runs()] == ["completed"]


def test_a_tool_by_itself_has_a_call_of_its_own(recorded: Recorded) -> None:
    assert recorded.invoke(add, {"a": 2, "b": 3}) == 5
    made, result = recorded.blocks()
    assert (made.type, made.data["name"], json.loads(made.text)) == ("function_call", "add", {"a": 2, "b": 3})
    assert (result.type, result.text, result.parent_id) == ("function_result", "5", made.id)


def test_a_loop_of_ones_own_over_a_model_and_tools(recorded: Recorded) -> None:
    chat = model([call("add", '{"a": 2, "b": 3}')], ["It is 5."])

    def work(_: Any, config: Any) -> None:
        messages: list[Any] = [SystemMessage("You add."), HumanMessage("add 2 and 3")]
        messages.append(chat.invoke(messages, config))
        messages.append(add.invoke(messages[-1].tool_calls[0], config))
        messages.append(chat.invoke(messages, config))

    async def awork(_: Any, config: Any) -> None:
        messages: list[Any] = [SystemMessage("You add."), HumanMessage("add 2 and 3")]
        messages.append(await chat.ainvoke(messages, config))
        messages.append(await add.ainvoke(messages[-1].tool_calls[0], config))
        messages.append(await chat.ainvoke(messages, config))

    recorded.run(work if recorded.face == "sync" else awork)
    assert [block.type for block in recorded.blocks()] == ["message", "function_call", "function_result", "message"]
    assert len(recorded.runs()) == 3
    assert [one["role"] for one in to_openai(recorded.blocks(kind="prompt"))] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


def test_turns_store_what_is_new_alone(recorded: Recorded) -> None:
    answers = [["one"], ["two"], ["three"]]
    chat = create_agent(model(*answers), checkpointer=InMemorySaver())
    again = create_agent(model(*answers[2:]))
    thread = {"configurable": {"thread_id": "1"}}
    recorded.stream(chat, ask("first"), config=thread)
    state = recorded.invoke(chat, ask("second"), config=thread)
    recorded.invoke(again, {"messages": [*state["messages"], HumanMessage("third")]})
    said = [block.text for block in recorded.blocks(kind="transcript")]
    assert said == ["first", "one", "second", "two", "third", "three"]


def test_a_prompt_that_is_given_is_stored_once(recorded: Recorded) -> None:
    recorded.stream(adder(), ask("a template around: add 2 and 3"), prompt="add 2 and 3")
    assert lines(recorded.blocks()) == WHOLE


def test_a_sequence_with_a_template(recorded: Recorded) -> None:
    chain = ChatPromptTemplate.from_messages([("system", "Be short."), ("user", "Tell of {topic}")]) | model(["A cat."])
    chunks = recorded.stream(chain, {"topic": "cats"}, None)
    assert "".join(chunk.content for chunk in chunks) == "A cat."
    assert lines(recorded.blocks()) == [("message", None, "Tell of cats"), ("message", None, "A cat.")]


def test_pictures_that_a_person_sends(recorded: Recorded) -> None:
    picture = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
    link = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    recorded.invoke(model(["a cat"]), [HumanMessage([{"type": "text", "text": "What is it?"}, picture, link])])
    asked = recorded.blocks()[0]
    assert asked.text == "What is it?"
    assert [(part.type, part.mime_type, part.size, part.url) for part in asked.parts] == [
        ("image", "image/png", 8, None),
        ("image", None, None, "https://example.org/a.png"),
    ]


def test_models_of_langchain_that_are_made_for_tests(recorded: Recorded) -> None:
    recorded.stream(GenericFakeChatModel(messages=iter([AIMessage("one two")])), "hi", None)
    recorded.stream(FakeListLLM(responses=["three"]), "ho", None)
    said = [(block.role, block.text) for block in recorded.blocks()]
    assert said == [("user", "hi"), ("assistant", "one two"), ("user", "ho"), ("assistant", "three")]


def test_both_providers_take_it_as_a_prompt(recorded: Recorded) -> None:
    recorded.stream(adder(), ask())
    assert [one["role"] for one in to_openai(recorded.blocks(kind="prompt"))] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert to_anthropic(recorded.blocks(kind="prompt"))["messages"][-1]["role"] == "assistant"


def test_results_with_pictures_and_an_artifact(recorded: Recorded) -> None:
    @tool(response_format="content_and_artifact")
    def look(x: int) -> Any:
        """Looks."""
        picture = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
        return [{"type": "text", "text": "a cat"}, picture], object()

    recorded.stream(adder([call("look", '{"x": 1}')], ["A cat."], tools=[look]), ask())
    [result] = recorded.blocks(types=["function_result"])
    assert (result.text, [part.type for part in result.parts]) == ("a cat", ["image"])


def test_a_tool_that_gives_its_own_message(recorded: Recorded) -> None:
    @tool
    def own(x: int) -> ToolMessage:
        """Answers."""
        return ToolMessage("my own", tool_call_id="c1", name="own", status="error")

    recorded.stream(adder([call("own", '{"x": 1}')], ["ok"], tools=[own]), ask())
    [result] = recorded.blocks(types=["function_result"])
    assert (result.text, result.data["is_error"]) == ("my own", True)


def test_usage_is_counted_once(recorded: Recorded) -> None:
    recorded.stream(adder(["It is ", "5.", spent()]), ask())
    assert [block.usage for block in recorded.blocks()] == [None, USAGE]
    assert recorded.runs()[0].usage is None
