"""Prompts: each call with a result, each result with its call, from wherever the blocks were cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from made_blocks import answered, called, histories, said, stored

from chatstore import Block, ChatStore, History
from chatstore.prompts import NO_RESULT, calls_of, close_calls


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


def is_closed(blocks: list[Block]) -> bool:
    """Whether each call has a result behind it, and each result its call before it."""
    calls = calls_of(blocks)
    return all(
        block.id in calls.values() if block.type == "function_call" else block.id in calls
        for block in blocks
        if block.type in ("function_call", "function_result")
    )


def answers(blocks: list[Block]) -> dict[int, int]:
    """Which block answers which, by their places."""
    places = {block.id: place for place, block in enumerate(blocks)}
    return {places[result]: places[call] for result, call in calls_of(blocks).items()}


@settings(deadline=None)
@given(histories())
def test_a_prompt_is_closed_and_closing_it_again_changes_nothing(blocks: list[Block]) -> None:
    closed = close_calls(blocks)
    assert is_closed(closed)
    assert close_calls(closed) == closed


@settings(deadline=None)
@given(histories())
def test_closing_adds_only_results_and_leaves_out_only_results_without_a_call(blocks: list[Block]) -> None:
    closed = close_calls(blocks)
    stored_ids = {block.id for block in blocks}
    assert all(block.text == NO_RESULT for block in closed if block.id not in stored_ids)
    kept = [block for block in closed if block.id in stored_ids]
    assert kept == [block for block in blocks if block.type != "function_result" or block.id in calls_of(blocks)]


def test_the_made_result_says_whose_it_is_and_that_there_is_none() -> None:
    (call, made) = close_calls(stored([called("f", call_id="call_1", author="bot", run_id="run-1")]))
    assert (made.type, made.role, made.text, made.state) == ("function_result", "tool", NO_RESULT, "interrupted")
    assert made.data == {"call_id": "call_1", "name": "f", "is_error": True}
    assert (made.parent_id, made.index, made.author, made.run_id) == (call.id, call.index, "bot", "run-1")


def test_the_made_result_stands_behind_the_calls_made_together() -> None:
    first, second = called(call_id="call_1"), called(call_id="call_2")
    closed = close_calls(stored([first, second, answered("b", second), said("user", "Well?")]))
    assert [block.type for block in closed] == ["function_call"] * 2 + ["function_result"] * 2 + ["message"]


def test_a_result_belongs_to_its_parent_whatever_its_call_id_is() -> None:
    first, second = called(call_id="call_1"), called(call_id="call_1")
    assert answers(stored([first, second, answered("b", second), answered("a", first)])) == {2: 1, 3: 0}


def test_a_result_whose_parent_was_cut_off_is_not_taken_for_another_with_the_same_call_id() -> None:
    first, second = called(call_id="call_1"), called(call_id="call_1")
    blocks = stored([first, second, answered("a", first), answered("b", second)])
    assert answers(blocks[1:]) == {2: 0}


def test_results_without_a_parent_go_by_call_id_then_by_name() -> None:
    drafts = [called("f", call_id="call_1"), called("g", call_id="call_1"), answered("a", call_id="call_1")]
    drafts += [answered("b", call_id="call_1"), answered("c", call_id="call_1"), answered("d", call_id="call_9")]
    assert answers(stored(drafts)) == {2: 0, 3: 1, 4: 1}
    assert answers(stored([called("f"), called("g"), answered("a", name="g"), answered("b")])) == {2: 1, 3: 0}


def test_a_call_id_used_again_means_the_later_call() -> None:
    drafts = [
        called(call_id="call_1"),
        said("user", "Again."),
        called(call_id="call_1"),
        answered("b", call_id="call_1"),
    ]
    assert answers(stored(drafts)) == {3: 2}


def test_a_result_whose_parent_is_no_call_has_none() -> None:
    message = said("assistant", "I look.")
    assert answers(stored([message, called(call_id="call_1"), answered("a", message, call_id="call_1")])) == {}


def conversation(history: History) -> list[Block]:
    """Two turns: two calls made together with their results, then one that never got one."""
    history.append_system_message("Be brief.")
    history.append_user_message("Weather?")
    calls = [history.append_function_call("weather", {"day": day}, call_id="call_1") for day in (1, 2)]
    results = [history.append_function_result(f"{call.index} °C", call=call) for call in calls]
    history.append_user_message("And then?")
    history.append_function_call("weather", {"day": 3}, call_id="call_1")
    history.append_status_message("Stopped")
    return [*calls, *results]


def test_every_window_of_a_prompt_is_closed(history: History) -> None:
    conversation(history)
    cursors = [block.cursor for block in history.get_messages()]
    for size in range(len(cursors) + 1):
        assert is_closed(history.get_messages(kind="prompt", last=size))
        assert is_closed(history.get_messages(kind="prompt", limit=size))
    for place, cursor in enumerate(cursors):
        assert is_closed(history.get_messages(kind="prompt", after=cursor))
        assert all(is_closed(history.get_messages(kind="prompt", after=cursor, before=b)) for b in cursors[place:])
    assert is_closed(history.since_last_user_message(kind="prompt"))


def test_the_last_blocks_of_a_prompt_are_those_and_the_results_they_lack(history: History) -> None:
    conversation(history)
    found = history.get_messages(kind="prompt", last=3)
    assert [block.text for block in found] == ["And then?", '{"day":3}', NO_RESULT]


def test_a_call_whose_result_lies_behind_the_window_is_closed(history: History) -> None:
    first, second, result, _ = conversation(history)
    found = history.get_messages(kind="prompt", after=first.cursor, before=result.cursor)
    assert [(block.type, block.parent_id) for block in found] == [
        ("function_call", None),
        ("function_result", second.id),
    ]


def test_a_kind_with_filters_gives_the_stored_blocks_alone(history: History) -> None:
    conversation(history)
    assert [block.index for block in history.get_messages(kind="prompt", types=["function_call"])] == [2, 3, 7]
    assert [block.index for block in history.get_messages(kind="trace", last=2)] == [7, 8]
