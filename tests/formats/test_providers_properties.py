"""Whatever a history holds and wherever it is cut, what is made of it can be sent to a provider."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from made_blocks import histories
from provider_rules import check_anthropic, check_openai

from chatstore import Block
from chatstore.formats.anthropic_prompt import to_anthropic
from chatstore.formats.exchanges import exchanges
from chatstore.formats.openai_prompt import to_openai


@settings(deadline=None, max_examples=300)
@given(histories(), st.data())
def test_every_stretch_of_every_history_can_be_sent(history: list[Block], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(history)))
    end = data.draw(st.integers(start, len(history)))
    check_openai(to_openai(history[start:end]))
    check_anthropic(to_anthropic(history[start:end]))


@settings(deadline=None)
@given(histories())
def test_blocks_given_twice_are_sent_once(history: list[Block]) -> None:
    assert to_openai(history + history) == to_openai(history)
    assert to_anthropic(history + history) == to_anthropic(history)


@settings(deadline=None)
@given(histories())
def test_no_words_are_lost_but_those_of_results_without_a_call(history: list[Block]) -> None:
    answering = {result.id for exchange in exchanges(history) for call in exchange.calls for result in call.results}
    kinds = [block for block in history if block.type == "message" and block.role != "critic"]
    kept = [block.text.strip() for block in kinds + [block for block in history if block.id in answering]]
    for sent in (to_openai(history), to_anthropic(history)):
        words = json.dumps(sent, ensure_ascii=False)
        assert all(text in words for text in kept)
        assert words.count("Wie spät?") >= kept.count("Wie spät?")


@settings(deadline=None)
@given(histories())
def test_what_is_sent_can_be_written_as_json(history: list[Block]) -> None:
    sent: tuple[Any, ...] = (to_openai(history), to_anthropic(history))
    assert json.loads(json.dumps(sent, allow_nan=False)) == list(sent)
