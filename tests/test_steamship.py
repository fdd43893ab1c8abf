"""The history that a real Steamship agent wrote in two turns, as a history here: read as a person, a model and a
developer read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from data_support import data_files

from chatstore import Block, BlockDraft, ChatStore, History, Tag, last_turns
from chatstore.formats.anthropic_prompt import to_anthropic
from chatstore.formats.openai_prompt import to_openai
from chatstore.writing.drafts import BlockOptions, function_call, function_result

TURN = 17
"""Blocks of the history after its first turn."""


@pytest.fixture(scope="module")
def captured() -> dict[str, Any]:
    (file,) = data_files("framework_events/steamship_events.json")
    events: dict[str, Any] = json.loads(file.read_text())
    return events


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history({"id": "c1"})


def drafts_of(captured: dict[str, Any]) -> list[BlockDraft]:
    """A draft for each of Steamship's blocks: what a block is, its tags say."""
    whole = {block["index"]: block["text"] for block in captured["history_after_turn1"]}
    drafts: list[BlockDraft] = []
    for index, role, tags, text in captured["history_all"]:
        drafts.append(draft_of(role, [tag.partition("/")[::2] for tag in tags], whole.get(index, text), drafts))
    return drafts


def draft_of(role: str | None, tags: list[tuple[str, str]], text: str, before: list[BlockDraft]) -> BlockDraft:
    named = dict(tags)
    own = [Tag(kind=kind, name=name) for kind, name in tags]
    if "function-selection" in named:
        chosen = json.loads(text)
        return function_call(chosen["name"], chosen["arguments"], None, BlockOptions(tags=own))
    if named.get("role") == "function":
        call = next(draft for draft in reversed(before) if draft.type == "function_call")
        return function_result(text, call, None, named["name"], False, BlockOptions(tags=own))
    return BlockDraft(type="message" if role else "status", role=role, text=text, tags=own)


def shown(blocks: list[Block]) -> list[str]:
    """The texts as they were captured, which is their beginnings."""
    return [block.text[:40] for block in blocks]


def test_it_reads_as_a_transcript_and_as_a_trace(captured: dict[str, Any], history: History) -> None:
    history.append(drafts_of(captured))
    assert history.count() == len(history.get_messages(kind="trace")) == len(captured["history_all"]) == 23
    transcript = history.get_messages(kind="transcript")
    assert [block.role for block in transcript] == ["user", "assistant"] * 2
    answers = [*captured["prompt_turn1"], *captured["prompt_turn2"]]
    assert [block.text for block in transcript if block.role == "assistant"] == answers
    assert shown(transcript) == [
        text for _, role, tags, text in captured["history_all"] if role != "system" and "chat/message" in tags
    ]


def test_function_calls_since_the_last_user_message_are_those_that_steamship_found(
    captured: dict[str, Any], history: History
) -> None:
    types = ["function_call", "function_result"]
    drafts = drafts_of(captured)
    history.append(drafts[:TURN])
    found = history.since_last_user_message(types=types)
    assert [block.type for block in found] == ["function_call", "function_result", "function_result"]
    # The model got the system prompt and the question, and behind them what Steamship's own method had found.
    *_, asked = [saw for saw in captured["llm_saw"] if len(saw) == 2 + len(found)]
    indexes = {text: index for index, _, _, text in captured["history_all"]}
    assert [block.index for block in found] == [indexes[text] for _, text in asked[2:]]
    history.append(drafts[TURN:])
    assert history.since_last_user_message(types=types) == []


def test_its_prompt_is_what_steamship_selected_for_the_model(captured: dict[str, Any], history: History) -> None:
    history.append(drafts_of(captured))
    system, *selected = history.get_messages(kind="prompt")
    assert system.role == "system"
    indexes = {text: index for index, _, _, text in captured["history_all"]}
    assert [block.index for block in selected] == [indexes[text[:40]] for _, text in captured["select_window_k10"]]


@pytest.mark.parametrize(
    ("turns", "selected"), [(0, "select_none"), (1, "select_window_k1"), (10, "select_window_k10")]
)
def test_a_window_of_turns_is_what_steamship_selected(
    captured: dict[str, Any], history: History, turns: int, selected: str
) -> None:
    history.append(drafts_of(captured))
    window = [block for block in last_turns(history.get_messages(kind="prompt"), turns) if block.role != "system"]
    indexes = {text: index for index, _, _, text in captured["history_all"]}
    assert [block.index for block in window] == [indexes[text[:40]] for _, text in captured[selected]]


def test_it_can_be_sent_to_a_model_again(captured: dict[str, Any], history: History) -> None:
    history.append(drafts_of(captured))
    prompt = history.get_messages(kind="prompt")
    roles = ["system", "user", "assistant", "tool", "assistant", "user", "assistant"]
    assert [message["role"] for message in to_openai(prompt)] == roles
    messages = to_anthropic(prompt)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 3
    (result,) = messages[2]["content"]
    assert len(result["content"]) == 2
