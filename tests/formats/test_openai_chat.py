"""OpenAI chat messages as blocks that readers expect, and back as they were."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from conversations import HELLO, asked, call, exported, imported, result

from chatstore import BlockDraft, ChatStore, History, InvalidData, InvalidInput, InvalidText, LimitExceeded, Part
from chatstore.formats.openai_chat import to_drafts
from chatstore.formats.openai_message import NOTE

PIXEL = bytes(range(60))
PIXEL_URL = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "critic"])
def test_a_plain_message_is_a_block_and_nothing_more(store: ChatStore, role: str) -> None:
    _, block = imported(store, HELLO, {"role": role, "content": "Hi", "name": "ann"})
    assert (block.type, block.role, block.text, block.author, block.data) == ("message", role, "Hi", "ann", None)


def test_a_tool_call_and_its_result_are_blocks_and_nothing_more(store: ChatStore) -> None:
    _, asks, answers = imported(store, HELLO, asked(call()), result())
    assert (asks.type, asks.role, asks.text) == ("function_call", "assistant", '{"city": "Paris"}')
    assert asks.data == {"name": "get_weather", "arguments": {"city": "Paris"}, "call_id": "call_1"}
    assert (answers.type, answers.text, answers.parent_id) == ("function_result", "18 °C", asks.id)
    assert answers.data == {"call_id": "call_1", "name": "get_weather", "is_error": False}


def test_reasoning_words_and_calls_of_one_message_are_blocks_in_this_order(store: ChatStore) -> None:
    message = asked(call(), call("call_2"), content="I look it up.") | {"reasoning": "Weather is asked for."}
    _, *blocks = imported(store, HELLO, message)
    assert [block.type for block in blocks] == ["reasoning", "message", "function_call", "function_call"]
    assert [block.parent_id for block in blocks[2:]] == [blocks[1].id] * 2
    assert all(NOTE not in (block.data or {}) for block in blocks)


def test_messages_that_only_call_put_no_empty_message_into_the_transcript(store: ChatStore, history: History) -> None:
    imported(store, {"role": "user", "content": "Hi"}, asked(call()), result(), asked(call("call_2"), content=""))
    assert [block.text for block in history.get_messages(kind="transcript")] == ["Hi"]
    assert [block.type for block in history.get_messages(kind="prompt")] == [
        *("message", "function_call", "function_result"),
        *("function_call", "function_result"),
    ]


@pytest.mark.parametrize("second", [asked(call("call_2")), {"role": "assistant", "content": "", "reasoning": "Hm"}])
def test_messages_that_could_be_one_stay_two(store: ChatStore, second: dict[str, Any]) -> None:
    imported(store, asked(call()), second)


def test_an_import_behind_other_blocks_stays_apart_from_them(store: ChatStore, history: History) -> None:
    history.append_reasoning("Before.")
    history.append(to_drafts([{"role": "assistant", "content": "Behind."}]))
    assert exported(store, history) == [
        {"role": "assistant", "content": "", "reasoning": "Before."},
        {"role": "assistant", "content": "Behind."},
    ]


def test_a_call_behind_an_imported_message_with_a_note_is_its_own_message(store: ChatStore, history: History) -> None:
    message = asked(call(), content="I look.") | {"refusal": None}
    history.append(to_drafts([message]))
    history.append_function_call("later", {}, call_id="call_2")
    assert exported(store, history) == [message, asked(call("call_2", "later", "{}"))]


@pytest.mark.parametrize(
    "arguments", ["", "{", '{"a": 1e400}', "[NaN]", '{"b": 1,  "a": 2}', '{"n": 123456789012345678901}']
)
def test_arguments_are_kept_to_the_letter(store: ChatStore, arguments: str) -> None:
    (block,) = imported(store, asked(call(arguments=arguments)))
    assert block.text == arguments


def test_arguments_that_are_an_object_are_kept_once(store: ChatStore) -> None:
    arguments = {"url": "https://example.com/a/long/address"}
    (block,) = imported(
        store,
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": "go", "arguments": arguments}]},
    )
    assert (block.data["name"], block.data["arguments"]) == ("go", arguments)
    assert str(block.data).count("example.com") == 1


def test_a_legacy_function_call_is_a_call_with_its_result(store: ChatStore) -> None:
    asks, answers = imported(
        store,
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "f", "arguments": '{"a": "a longer argument"}'},
        },
        {"role": "function", "name": "f", "content": "done"},
    )
    assert (asks.data["name"], asks.data["call_id"]) == ("f", None)
    assert answers.parent_id == asks.id


def test_a_reused_call_id_means_the_latest_open_call(store: ChatStore) -> None:
    blocks = imported(
        store, asked(call()), result(), asked(call()), result(), asked(call()), asked(call()), result(), result()
    )
    calls = [block for block in blocks if block.type == "function_call"]
    parents = [block.parent_id for block in blocks if block.type == "function_result"]
    assert parents == [calls[0].id, calls[1].id, calls[3].id, calls[2].id]


def test_parallel_calls_of_one_id_are_answered_in_their_order(store: ChatStore) -> None:
    first, second, *answers = imported(store, asked(call(), call(name="other")), result(), result())
    assert [answer.parent_id for answer in answers] == [first.id, second.id]


def test_a_second_result_belongs_to_the_same_call(store: ChatStore) -> None:
    asks, *answers = imported(store, asked(call()), result(), result(content="19 °C"))
    assert [answer.parent_id for answer in answers] == [asks.id] * 2


def test_a_result_without_a_call_has_no_parent(store: ChatStore) -> None:
    (answers,) = imported(store, result("unknown"))
    assert (answers.parent_id, answers.data["call_id"]) == (None, "unknown")


def test_a_result_without_an_id_answers_the_first_open_call(store: ChatStore) -> None:
    first, _, answers = imported(
        store, asked(call(), call("call_2")), {"role": "tool", "content": "x", "tool_call_ids": ["call_1"]}
    )
    assert answers.parent_id == first.id


def test_thinking_in_the_content_is_reasoning(store: ChatStore) -> None:
    thinking = {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "First this, and then that."}],
        "closed": True,
    }
    content = [thinking, {"type": "text", "text": "The answer is four, of course."}]
    thought, said = imported(store, {"role": "assistant", "content": content})
    assert (thought.type, thought.text) == ("reasoning", "First this, and then that.")
    assert (said.type, said.text, said.parts) == ("message", "The answer is four, of course.", ())
    assert str(thought.data).count("First") == str(thought.data).count("four") == 0


def test_equal_reasoning_under_two_names_is_kept_once(store: ChatStore) -> None:
    text = "A thought of more than a few words."
    blocks = imported(store, {"role": "assistant", "content": "Yes", "reasoning": text, "reasoning_content": text})
    assert [block.type for block in blocks] == ["reasoning", "message"]
    assert str([block.data for block in blocks]).count(text) == 0


def test_usage_is_the_usage_of_the_block(store: ChatStore) -> None:
    usage = {"prompt_tokens": 1200, "completion_tokens": 34}
    (said,) = imported(store, {"role": "assistant", "content": "Yes", "_usage": usage})
    assert said.usage == usage
    assert "1200" not in str(said.data)


def test_usage_of_a_message_that_only_calls_is_that_of_its_first_call(store: ChatStore) -> None:
    usage = {"prompt_tokens": 1200, "completion_tokens": 34}
    first, second = imported(store, asked(call(), call("call_2")) | {"_usage": usage})
    assert (first.usage, second.usage) == (usage, None)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"role": None},
        {"role": ""},
        {"role": 5, "content": 6},
        {"role": "Orchestrator (thought)", "content": "Hm"},
        {"role": "a\0b", "name": "c\0d", "content": "e\0f"},
        {"role": "x" * 1_001, "name": "y" * 1_001},
        {"role": "user"},
        {"role": "user", "content": None, "tool_calls": None, "name": None},
        {"role": "user", "content": []},
        {"role": "user", "content": {"text": "an object"}},
        {"role": "user", "content": [None, 1, "x", ["x"], {"type": 3}, {"type": "text"}, {"type": "text", "text": 1}]},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "text2": {"value": 1, "from": [0, "text"]}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}, {"type": "file", "file": "f"}]},
        {"role": "user", "content": "x", "openai_chat": {"blocks": 7}, "data": {"with": 1}},
        {"role": "assistant"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": "none"},
        {"role": "assistant", "tool_calls": [None, 1, {}, {"function": {}}, {"function": {"name": ""}}, call(id=None)]},
        {"role": "assistant", "tool_calls": [call(arguments=value) for value in (None, 1, 1.0, True, [], {}, [1.5])]},
        {"role": "assistant", "tool_calls": [{"id": 1, "type": "custom", "custom": {"name": "sql", "input": "x"}}]},
        {"role": "assistant", "tool_calls": [{"index": 0, **call()}, {"index": 1, **call("")}]},
        {"role": "assistant", "content": "Hi", "function_call": None, "refusal": None, "annotations": []},
        {"role": "assistant", "content": "Hi", "function_call": {"name": "f"}, "tool_calls": [call()]},
        {"role": "assistant", "content": "", "reasoning": "Thinking", "reasoning_content": "Thinking more"},
        {"role": "assistant", "content": "", "reasoning": {"steps": []}, "_usage": {}},
        {"role": "assistant", "content": "", "reasoning": "Thinking only", "usage": {"a": 1}, "_usage": {"b": 2}},
        {"role": "tool"},
        {"role": "tool", "tool_call_id": 5, "content": [{"type": "text", "text": "x", "cache_control": {"ttl": "5m"}}]},
        {"role": "function", "name": None, "content": {"ok": True}, "is_error": True},
    ],
)  # fmt: skip
def test_odd_messages_come_back_as_they_were(store: ChatStore, message: dict[str, Any]) -> None:
    imported(store, message, message)


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ("text", InvalidInput, "message 1 is str"),
        (None, InvalidInput, "message 1 is NoneType"),
        ({"role": "user", "content": "\ud800"}, InvalidText, "message 1 has a lone surrogate"),
        ({"\udfff": 1}, InvalidText, "message 1 has a lone surrogate"),
        ({"role": "user", "content": "x", "n": 2**63}, InvalidData, "message 1 has more than 64 bits"),
        ({"role": "user", "content": float("inf")}, InvalidData, "inf in message 1"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(message: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        to_drafts([{"role": "user", "content": "fine"}, message])


def test_json_that_is_too_deep_is_refused() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(LimitExceeded, match="message 0: nested more than 100 levels deep"):
        to_drafts([{"role": "user", "content": deep}])


def test_what_was_written_by_other_means_is_exported_too(store: ChatStore, history: History) -> None:
    history.append_system_message("Be brief.")
    history.append_user_message(
        "What is this?", author="ann", parts=[Part(type="image", mime_type="image/png", content=PIXEL)]
    )
    history.append_status_message("Looking")
    history.append_reasoning("It may be a pixel.", author="bot")
    history.append_assistant_message("I look.", author="bot")
    history.append_status_message("Calling")
    asks = history.append_function_call("look", {"at": "it"}, call_id="call_1", author="bot")
    unnamed = history.append_function_call("measure", {}, author="bot")
    history.append_function_result("a pixel", call=asks)
    history.append_function_result("1 × 1", call=unnamed)
    history.append(BlockDraft(type="note", text="of one's own"))
    history.append_assistant_message("A pixel.", author="bot")
    assert exported(store, history) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": PIXEL_URL}},
            ],
        },
        {
            **asked(call("call_1", "look", '{"at":"it"}'), call(unnamed.id, "measure", "{}"), content="I look."),
            "name": "bot",
            "reasoning": "It may be a pixel.",
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a pixel"},
        {"role": "tool", "tool_call_id": unnamed.id, "content": "1 × 1"},
        {"role": "assistant", "name": "bot", "content": "A pixel."},
    ]


def test_messages_of_two_agents_are_not_joined(store: ChatStore, history: History) -> None:
    history.append_assistant_message("I am the planner.", author="planner")
    history.append_function_call("search", {}, call_id="call_1", author="searcher")
    assert [message["name"] for message in exported(store, history)] == ["planner", "searcher"]


@pytest.mark.parametrize(
    "note",
    [
        {"blocks": 1, "within": {"content": {"from": [4, "text"]}}},
        {"blocks": 1, "within": {"content": {"from": [0, "words"]}}},
        {"blocks": 1, "within": {"content": {"from": [0]}}},
        {"blocks": 1, "within": {"content": {"items": [None]}}},
        {"blocks": 1, "within": {"content": "text"}},
        {"blocks": 1, "with": "text"},
        {"blocks": 1, "without": 5},
    ],
)
def test_a_note_that_no_import_wrote_is_refused(store: ChatStore, history: History, note: dict[str, Any]) -> None:
    history.append_user_message("Hi", data={NOTE: note})
    with pytest.raises(InvalidData, match="openai_chat"):
        exported(store, history)


def test_a_message_of_nobody_comes_out_without_a_role_and_goes_in_again(store: ChatStore, history: History) -> None:
    history.append(BlockDraft(text="Hi"))
    assert exported(store, history) == [{"content": "Hi"}]
    assert to_drafts(exported(store, history)) == [BlockDraft(text="Hi")]


def test_data_of_ones_own_under_the_same_key_is_left_alone(store: ChatStore, history: History) -> None:
    history.append_user_message("Hi", data={NOTE: {"model": "m"}})
    assert exported(store, history) == [{"role": "user", "content": "Hi"}]
