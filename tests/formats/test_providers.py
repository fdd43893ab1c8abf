"""What a conversation looks like to OpenAI and to Anthropic."""

from __future__ import annotations

import os
from typing import Any

import pytest
from conversations import HELLO, asked, call
from made_blocks import PNG, answered, called, said, stored, thought
from provider_rules import check_types, types
from sending import anthropic, openai

from chatstore import Block, BlockDraft, ChatStore, InvalidInput, Part
from chatstore.formats.anthropic_prompt import OPENING, to_anthropic
from chatstore.formats.exchanges import FAILED
from chatstore.formats.openai_chat import to_drafts
from chatstore.formats.openai_prompt import to_openai
from chatstore.prompts import NO_RESULT


def test_the_providers_own_types_are_checked_too() -> None:
    found = types()
    if found is None:
        missing = "the packages openai and anthropic are not installed"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    for adapter, wrong in ((found[0], {"reasoning": "Hm"}), (found[1], {"name": "ann"})):
        check_types(adapter, [{"role": "user", "content": "Hi"}])
        with pytest.raises(AssertionError):
            check_types(adapter, [{"role": "user", "content": "Hi", **wrong}])
        with pytest.raises(ValueError, match="validation error"):
            check_types(adapter, [{"role": "user", "content": [{"type": "text", "text": 5}]}])


def test_a_conversation_with_a_call_is_sent_as_it_was() -> None:
    call = called("weather", '{"city":  "Paris"}', "call_1")
    drafts = [said("system", "Be brief."), said("user", "Weather?"), said("assistant", "I look."), call]
    drafts += [answered("18 °C", call), said("assistant", "18 °C."), said("user", "Thanks.")]
    assert openai(*drafts) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":  "Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
        {"role": "assistant", "content": "18 °C."},
        {"role": "user", "content": "Thanks."},
    ]
    assert to_anthropic(stored(drafts))["system"] == "Be brief."
    use = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}}
    assert anthropic(*drafts) == [
        ("user", ["Weather?"]),
        ("assistant", ["I look.", use]),
        ("user", [{"type": "tool_result", "tool_use_id": "call_1", "content": ["18 °C"]}]),
        ("assistant", ["18 °C."]),
        ("user", ["Thanks."]),
    ]


def test_nothing_makes_no_messages() -> None:
    assert to_openai([]) == []
    assert to_anthropic([]) == {"messages": []}
    assert to_anthropic(stored([said("system", "Be brief.")])) == {"system": "Be brief.", "messages": []}


def test_a_result_that_came_late_stands_behind_its_call() -> None:
    call = called(call_id="call_1")
    drafts = [said("user", "Go."), call, said("user", "Still there?"), answered("done", call)]
    assert [message["role"] for message in openai(*drafts)] == ["user", "assistant", "tool", "user"]
    (_, _, (role, (result, words))) = anthropic(*drafts)
    assert (role, result["content"], words) == ("user", ["done"], "Still there?")


def test_parallel_calls_are_one_message_and_calls_in_turn_are_several() -> None:
    first, second, third = (called(call_id=f"call_{number}") for number in range(3))
    drafts = [
        said("user", "Go."),
        first,
        second,
        answered("b", second),
        answered("a", first),
        third,
        answered("c", third),
    ]
    messages = openai(*drafts)
    assert [len(message.get("tool_calls", ())) for message in messages] == [0, 2, 0, 0, 1, 0]
    assert [message["content"] for message in messages if message["role"] == "tool"] == ["a", "b", "c"]
    assert [len(content) for _, content in anthropic(*drafts)] == [1, 2, 2, 1, 1]


def test_calls_and_words_of_two_agents_are_not_joined() -> None:
    drafts = [said("user", "Go."), called(author="planner"), called(author="searcher")]
    assert [message.get("name") for message in openai(*drafts)] == [None, "planner", None, "searcher", None]


def test_several_results_of_one_call_are_one() -> None:
    call = called(call_id="call_1")
    drafts = [said("user", "Go."), call, answered("42", call), answered("43", call)]
    assert openai(*drafts)[-1]["content"] == [{"type": "text", "text": "42"}, {"type": "text", "text": "43"}]
    assert anthropic(*drafts)[-1][1][0]["content"] == ["42", "43"]


def test_a_result_without_a_call_is_left_out() -> None:
    drafts = [said("user", "Go."), answered("done", call_id="call_1"), said("assistant", "Done.")]
    assert [message["role"] for message in openai(*drafts)] == ["user", "assistant"]
    assert anthropic(*drafts) == [("user", ["Go."]), ("assistant", ["Done."])]


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    drafts = [said("user", "Go."), called(call_id="call_1"), said("user", "Well?")]
    assert openai(*drafts)[2] == {"role": "tool", "tool_call_id": "call_1", "content": NO_RESULT}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [NO_RESULT], "is_error": True}
    assert anthropic(*drafts)[2] == ("user", [result, "Well?"])


@pytest.mark.parametrize("call_id", ["a b", "", "x" * 41, None, "é"])
def test_a_call_id_that_is_none_for_a_provider_becomes_the_id_of_its_block(call_id: str | None) -> None:
    call = called(call_id=call_id or None)
    blocks = stored([said("user", "Go."), call, answered("done", call)])
    ids = [message.get("tool_call_id") for message in to_openai(blocks)]
    assert ids == [None, None, blocks[1].id]


def test_a_call_id_that_comes_again_is_another_in_call_and_result() -> None:
    first, second = called("f", call_id="call_0"), called("g", call_id="call_0")
    blocks = stored([said("user", "Go."), first, answered("a", first), second, answered("b", second)])
    uses = [
        (item["id"], item["name"])
        for message in to_anthropic(blocks)["messages"]
        for item in message["content"]
        if item["type"] == "tool_use"
    ]
    assert uses == [("call_0", "f"), (blocks[3].id, "g")]
    assert [message["tool_call_id"] for message in to_openai(blocks) if message["role"] == "tool"] == [
        *("call_0", blocks[3].id)
    ]


@pytest.mark.parametrize(
    ("arguments", "text", "value"),
    [
        ('{"a": 1}', '{"a": 1}', {"a": 1}),
        ('{"a": ', '{"a": ', {"arguments": '{"a": '}),
        ("", "{}", {}),
        ("[1, 2]", "[1, 2]", {"arguments": [1, 2]}),
        ("[NaN]", "[NaN]", {"arguments": "[NaN]"}),
        ({"a": 1}, '{"a":1}', {"a": 1}),
    ],
)
def test_arguments_are_sent_as_text_or_as_an_object(arguments: Any, text: str, value: dict[str, Any]) -> None:
    drafts = [said("user", "Go."), called(arguments=arguments)]
    assert openai(*drafts)[1]["tool_calls"][0]["function"]["arguments"] == text
    assert anthropic(*drafts)[1][1][0]["input"] == value


def test_arguments_that_are_only_in_data_are_sent() -> None:
    draft = BlockDraft(type="function_call", role="assistant", data={"name": "weather.now", "arguments": {"é": 1}})
    function = openai(said("user", "Go."), draft)[1]["tool_calls"][0]["function"]
    assert function == {"name": "weather_now", "arguments": '{"é": 1}'}


def test_an_error_is_marked_and_never_without_words() -> None:
    call, image = called(call_id="call_1"), Part(type="image", mime_type="image/png", content=PNG)
    drafts = [said("user", "Go."), call, answered("", call, is_error=True, parts=[image])]
    assert anthropic(*drafts)[2][1][0]["is_error"] is True
    assert anthropic(*drafts)[2][1][0]["content"] == ["[image: image/png]"]
    drafts[2] = answered(" ", call, is_error=True)
    assert anthropic(*drafts)[2][1][0]["content"] == [FAILED]
    assert openai(*drafts)[2]["content"] == FAILED


def test_a_result_may_be_empty() -> None:
    call = called(call_id="call_1")
    drafts = [said("user", "Go."), call, answered("", call)]
    assert openai(*drafts)[2]["content"] == ""
    assert anthropic(*drafts)[2] == ("user", [{"type": "tool_result", "tool_use_id": "call_1"}])


def test_what_anthropic_hears_alternates() -> None:
    drafts = [
        said("user", "One."),
        said("user", "Two."),
        said("assistant", "a"),
        said("assistant", "b"),
        said("user", "c"),
    ]
    assert anthropic(*drafts) == [("user", ["One.", "Two."]), ("assistant", ["a", "b"]), ("user", ["c"])]


def test_the_user_opens_where_the_assistant_would_be_first() -> None:
    drafts = [said("system", "Be kind."), said("assistant", "Welcome!"), said("user", "Hi.")]
    assert anthropic(*drafts) == [("user", [OPENING]), ("assistant", ["Welcome!"]), ("user", ["Hi."])]
    assert [message["role"] for message in openai(*drafts)] == ["system", "assistant", "user"]


def test_all_that_system_and_developer_say_is_the_system_prompt() -> None:
    drafts = [said("system", "Be brief."), said("user", "Hi."), said("developer", "Be kind."), said("user", "Hello?")]
    assert to_anthropic(stored(drafts))["system"] == "Be brief.\n\nBe kind."
    assert anthropic(*drafts) == [("user", ["Hi.", "Hello?"])]
    assert [message["role"] for message in openai(*drafts)] == ["system", "user", "developer", "user"]


def test_text_until_a_stop_is_kept_and_an_answer_without_any_left_out() -> None:
    blocks = stored([said("user", "Go."), said("assistant", "It is "), said("assistant", "")])
    cut = [block.model_copy(update={"state": "cancelled"}) for block in blocks]
    assert [message["content"] for message in to_openai(cut)] == ["Go.", "It is "]
    assert to_anthropic(cut)["messages"][-1]["content"] == [{"type": "text", "text": "It is"}]


def test_thoughts_go_back_only_with_their_signature() -> None:
    call = called(call_id="call_1")
    drafts = [said("user", "Go."), thought("Hm.", "signed"), thought("Unsigned."), call, answered("done", call)]
    assert anthropic(*drafts)[1][1][:1] == [{"type": "thinking", "thinking": "Hm.", "signature": "signed"}]
    assert len(anthropic(*drafts)[1][1]) == 2
    assert "Hm." not in str(openai(*drafts))


def test_a_thought_that_nothing_follows_is_left_out() -> None:
    assert anthropic(said("user", "Go."), thought("Hm.", "signed"), said("user", "Well?")) == [
        ("user", ["Go.", "Well?"])
    ]


def test_statuses_and_what_is_not_for_a_model_are_left_out() -> None:
    drafts = [BlockDraft(type="status", text="Looking"), said("critic", "Bad."), BlockDraft(type="error", text="Oh")]
    assert openai(*drafts, said("user", "Hi.")) == [{"role": "user", "content": "Hi."}]


@pytest.mark.parametrize("convert", [to_openai, to_anthropic])
@pytest.mark.parametrize("given", [said("user", "Hi."), {"role": "user", "content": "Hi."}, "Hi."])
def test_what_is_no_block_is_an_error(convert: Any, given: object) -> None:
    with pytest.raises(InvalidInput, match="as get_messages returns them"):
        convert([given])


def test_a_prompt_by_kind_is_sent_as_the_whole_trace_is(store: ChatStore) -> None:
    history = store.history("c")
    history.append_user_message("Go.")
    history.append_status_message("Going")
    history.append_function_call("f", {}, call_id="call_1")
    history.append_user_message("Well?")
    prompt, trace = history.get_messages(kind="prompt"), history.get_messages()
    assert to_openai(prompt) == to_openai(trace)
    assert to_anthropic(prompt) == to_anthropic(trace)


def test_an_imported_message_that_lost_a_block_does_not_take_in_the_next_one() -> None:
    imported = to_drafts([asked(call(), content="I look.") | {"refusal": None}, HELLO])
    said_, _, hello = stored(imported)
    assert [message["role"] for message in to_openai([said_, hello])] == ["assistant", "user"]


def test_names_of_authors_are_those_that_openai_takes() -> None:
    blocks: list[Block] = stored([said("user", "Hi.", author="Ann <a>\tÉ"), said("user", "Ho.", author="x" * 70)])
    assert [message["name"] for message in to_openai(blocks)] == ["Ann__a__É", "x" * 64]
