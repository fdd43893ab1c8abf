"""Windows: the last turns of a prompt, and as much of its end as fits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_blocks import answered, called, histories, said, stored

from chatstore import Block, InvalidInput, last_turns, within_tokens
from chatstore.prompts import calls_of, close_calls

prompts = histories(max_size=18).map(close_calls)
counters = st.sampled_from([lambda block: 1, lambda block: len(block.text) + 1, lambda block: block.index % 3])
Count = Callable[[Block], int]


def is_user(block: Block) -> bool:
    return block.type == "message" and block.role == "user"


def preamble(blocks: list[Block]) -> list[Block]:
    """The system prompt at the beginning."""
    size = next((n for n, b in enumerate(blocks) if b.type != "message" or b.role not in ("system", "developer")), None)
    return blocks[:size]


def ends(blocks: list[Block]) -> list[list[Block]]:
    """Every end of a list of blocks, the longest first, without results whose call is not in it."""
    calls = calls_of(blocks)
    found = []
    for start in range(len(blocks) + 1):
        kept = {block.id for block in blocks[start:]}
        found.append([b for b in blocks[start:] if b.type != "function_result" or calls[b.id] in kept])
    return found


@settings(deadline=None)
@given(prompts, st.integers(0, 6))
def test_the_last_turns_of_a_prompt_are_a_prompt_with_so_many_turns(blocks: list[Block], turns: int) -> None:
    window = last_turns(blocks, turns)
    assert close_calls(window) == window
    assert sum(map(is_user, window)) == min(turns, sum(map(is_user, blocks)))


@settings(deadline=None)
@given(prompts, st.integers(0, 6))
def test_turns_are_whole_and_the_system_prompt_stays(blocks: list[Block], turns: int) -> None:
    window = last_turns(blocks, turns)
    starts = [place for place, block in enumerate(blocks) if is_user(block)]
    if turns >= len(starts):
        assert window == blocks
        return
    start = starts[-turns] if turns else len(blocks)
    assert window == [*preamble(blocks)[:start], *ends(blocks)[start]]


@settings(deadline=None)
@given(prompts, st.integers(0, 60), counters)
def test_a_window_within_a_budget_is_a_prompt(blocks: list[Block], budget: int, count: Count) -> None:
    window = within_tokens(blocks, budget, count)
    assert close_calls(window) == window
    assert window[: len(preamble(blocks))] == preamble(blocks)


@settings(deadline=None, max_examples=300)
@given(prompts, st.integers(0, 60), counters)
def test_it_is_the_longest_end_that_fits_and_begins_with_a_turn(blocks: list[Block], budget: int, count: Count) -> None:
    head = preamble(blocks)
    fitting = [end for end in ends(blocks[len(head) :]) if sum(map(count, [*head, *end])) <= budget]
    with_turns = [end for end in fitting if end and is_user(end[0])]
    assert within_tokens(blocks, budget, count) == [*head, *max(with_turns or fitting, key=len, default=[])]


@settings(deadline=None)
@given(prompts, st.integers(0, 60))
def test_no_block_is_counted_twice(blocks: list[Block], budget: int) -> None:
    counted: list[str] = []
    within_tokens(blocks, budget, lambda block: counted.append(block.id) or 1)
    assert len(counted) == len(set(counted))


def test_a_long_prompt_is_counted_only_as_far_as_it_fits() -> None:
    counted: list[int] = []
    blocks = stored([said("user", str(number)) for number in range(1_000)])
    assert within_tokens(blocks, 3, lambda block: counted.append(block.index) or 1) == blocks[-3:]
    assert counted == [999, 998, 997, 996]


def test_the_system_prompt_alone_is_left_where_nothing_else_fits() -> None:
    blocks = stored([said("system", "A long prompt."), said("developer", "Another."), said("user", "Hi.")])
    assert within_tokens(blocks, 0, lambda block: len(block.text)) == blocks[:2]
    assert last_turns(blocks, 0) == blocks[:2]


def test_calls_and_results_are_left_out_together() -> None:
    call = called(call_id="call_1")
    blocks = stored(
        [said("user", "Go."), call, said("user", "Well?"), answered("done", call), said("assistant", "Done.")]
    )
    assert [block.index for block in last_turns(blocks, 1)] == [2, 4]
    assert [block.index for block in within_tokens(blocks, 4, lambda block: 1)] == [2, 4]


def test_the_end_of_one_long_turn_is_kept() -> None:
    calls = [called(call_id=f"call_{number}") for number in range(5)]
    blocks = stored([said("user", "Go."), *(draft for call in calls for draft in (call, answered("ok", call)))])
    assert within_tokens(blocks, 5, lambda block: 1) == blocks[-4:]


def test_a_greeting_before_the_first_turn_is_kept_with_all_turns() -> None:
    blocks = stored([said("assistant", "Welcome!"), said("user", "Hi.")])
    assert last_turns(blocks, 1) == blocks
    assert last_turns(blocks, 0) == []


def test_no_blocks_have_no_window() -> None:
    assert last_turns([], 3) == within_tokens([], 3, lambda block: 1) == []


@pytest.mark.parametrize("size", [-1, 1.5, True, None, "3"])
def test_a_size_that_is_none_is_an_error(size: object) -> None:
    with pytest.raises(InvalidInput, match="turns takes an integer"):
        last_turns([], size)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="max_tokens takes an integer"):
        within_tokens([], size, lambda block: 1)  # type: ignore[arg-type]
