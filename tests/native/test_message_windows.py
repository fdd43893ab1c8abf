"""S11: what a model is shown of a long conversation. The rule of Steamship's `MessageWindowMessageSelector` is written
down here once more, without its faults, and `last_turns` gives the same; so do its selections that were captured."""

from __future__ import annotations

import json

from data_support import data_files
from hypothesis import given
from hypothesis import strategies as st
from made_blocks import answered, called, said, stored

from chatstore import Block, BlockDraft, ChatStore, last_turns, within_tokens

Turn = tuple[int, int]
turns = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2)), max_size=6)


def conversation(shape: list[Turn]) -> list[Block]:
    """A system prompt, and turns of a question, so many calls with so many results each, and an answer."""
    drafts: list[BlockDraft] = [said("system", "Be brief.")]
    for number, (calls, results) in enumerate(shape):
        drafts.append(said("user", f"question {number}"))
        for _ in range(calls):
            call = called("Search")
            drafts += [call, *(answered(f"result {result}", call) for result in range(results))]
        drafts.append(said("assistant", f"answer {number}"))
    return stored(drafts)


def window(blocks: list[Block], k: int) -> list[Block]:
    """The last 2k messages of user and assistant, with the calls and results between them."""
    messages = [
        place for place, block in enumerate(blocks) if block.role in ("user", "assistant") and not of_call(block)
    ]
    if not messages or not k:
        return []
    return [block for block in blocks[messages[-2 * k :][0] :] if block.role != "system"]


def of_call(block: Block) -> bool:
    return block.type in ("function_call", "function_result")


def without_system(blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if block.role != "system"]


@given(turns, st.integers(0, 4))
def test_a_window_of_turns_is_that_of_steamships_selector(shape: list[Turn], k: int) -> None:
    blocks = conversation(shape)
    assert without_system(last_turns(blocks, k)) == window(blocks, k)


@given(turns, st.integers(0, 30))
def test_a_window_of_tokens_has_whole_turns_that_fit(shape: list[Turn], budget: int) -> None:
    blocks = conversation(shape)
    kept = without_system(within_tokens(blocks, budget, lambda block: 0 if block.role == "system" else 1))
    fitting = [found for k in range(len(shape) + 1) if len(found := window(blocks, k)) <= budget]
    assert kept[-len(fitting[-1]) :] == fitting[-1] or not fitting[-1]
    assert len(kept) <= budget


def test_the_faults_of_the_selector_are_not_here(store: ChatStore) -> None:
    (file,) = data_files("framework_events/steamship_events.json")
    captured = json.loads(file.read_text())
    assert captured["select_empty_history"]["raised"] == "IndexError"
    history = store.history("c")
    assert last_turns(history.get_messages(kind="prompt"), 3) == []
    # The first message of a history without a system prompt is lost there: `while message_index > 0`.
    assert captured["window_drops_index0"] == [["assistant", "first a"]]
    history.append_user_message("first q")
    history.append_assistant_message("first a")
    assert [block.text for block in last_turns(history.get_messages(kind="prompt"), 1)] == ["first q", "first a"]


def test_the_current_prompt_is_left_out_by_where_its_request_begins(store: ChatStore) -> None:
    history = store.history("c")
    history.append_user_message("first q")
    history.append_assistant_message("first a")
    handle = store.submit(lambda history, prompt: None, "second q", context="c")
    handle.result(20)
    before = history.get_messages(kind="prompt", before=handle.history.get_messages(run=handle.run.id)[0].cursor)
    assert [block.text for block in before] == ["first q", "first a"]
