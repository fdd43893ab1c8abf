"""Every real conversation can be sent to a provider again, whole and cut anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from data_support import conversation_files, records, report
from provider_rules import check_anthropic, check_openai, types

from chatstore import Block, ChatStore, History, last_turns, within_tokens
from chatstore.formats.anthropic_prompt import to_anthropic
from chatstore.formats.openai_chat import to_drafts
from chatstore.formats.openai_prompt import to_openai


@pytest.mark.slow
def test_every_real_conversation_can_be_sent_whole_and_cut(store: ChatStore) -> None:
    counts: Counter[str] = Counter()
    for file in conversation_files():
        for record in records(file):
            if record.get("messages"):
                history = store.history(f"{file.name}/{record['id']}")
                history.append(to_drafts(record["messages"]))
                counts["conversations"] += 1
                counts["messages"] += len(record["messages"])
                check(store, history, counts)
    report(*(f"{count:,} {what}" for what, count in counts.items()), f"types checked: {types() is not None}")
    assert counts["conversations"] > 2_000


def check(store: ChatStore, history: History, counts: Counter[str]) -> None:
    for blocks in windows(history):
        openai, anthropic = to_openai(blocks, store.read_bytes), to_anthropic(blocks, store.read_bytes)
        check_openai(openai)
        check_anthropic(anthropic)
        counts["requests"] += 2
        counts["messages in requests"] += len(openai) + len(anthropic["messages"])


def windows(history: History) -> Iterator[list[Block]]:
    prompt = history.get_messages(kind="prompt")
    yield prompt
    for last in (1, 2, 3, 5, 8):
        yield history.get_messages(kind="prompt", last=last)
    middle = prompt[len(prompt) // 2].cursor
    yield history.get_messages(kind="prompt", after=middle)
    yield history.get_messages(kind="prompt", before=middle)
    yield last_turns(prompt, 2)
    yield within_tokens(prompt, 500, lambda block: len(block.text) // 4)


def test_a_whole_conversation_keeps_its_words(store: ChatStore) -> None:
    """Those of one file with calls that were all answered: each message says what it said."""
    (file,) = [file for file in conversation_files() if file.name.startswith("tau_bench")]
    for record in records(file):
        history = store.history(record["id"])
        history.append(to_drafts(record["messages"]))
        sent = to_openai(history.get_messages(kind="prompt"))
        assert [(message["role"], message["content"]) for message in sent] == [
            (message["role"], message["content"]) for message in record["messages"]
        ]
