"""A run as Ragna's lines: which of its blocks they say, and how they tell where it has no answer."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore import ChatStore, ContextErased, History
from chatstore.encoders import RagnaLinesEncoder

SOURCE = {"id": "s", "document": {"id": "d", "name": "doc.txt"}, "location": "", "content": "x", "num_tokens": 1}


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


def encoded(history: History, run_id: str) -> tuple[list[dict[str, Any]], RagnaLinesEncoder]:
    encoder = RagnaLinesEncoder(run_id)
    changes = history.subscribe(run=run_id, follow=False)
    return [line for change in changes for line in encoder.encode(change)], encoder


def test_a_line_is_a_message_of_ragna(history: History) -> None:
    with history.run() as run:
        history.append_user_message("Why?")
        history.append_status_message("Looking it up")
        history.append_assistant_message("said to another agent", internal=True)
        block = history.append_assistant_message("Because.", data={"sources": [SOURCE]})
    [line], encoder = encoded(history, run.id)
    assert [*line.items()] == [
        ("id", block.id),
        ("content", "Because."),
        ("role", "assistant"),
        ("sources", [SOURCE]),
        ("timestamp", block.created_at.isoformat(timespec="microseconds").removesuffix("+00:00")),
    ]
    assert encoder.complete
    assert encoder.end() == {**line, "content": "", "sources": None, "state": "completed"}


def test_an_id_and_a_time_that_ragna_gave_are_kept_and_what_is_no_id_is_not(history: History) -> None:
    id = "bab717fe-8ee9-473c-a106-5898133d2698"
    with history.run() as run:
        history.append_assistant_message("Hi", data={"message_id": id, "timestamp": "2026-11-20T08:41:29.552231"})
    with history.run() as other:
        block = history.append_assistant_message("Hi", data={"message_id": "msg_1", "sources": "none"})
    [[one], _], [[two], _] = encoded(history, run.id), encoded(history, other.id)
    assert (one["id"], one["timestamp"], one["sources"]) == (id, "2026-11-20T08:41:29.552231", [])
    assert (two["id"], two["sources"]) == (block.id, [])


def test_messages_that_grow_at_once_follow_each_other_in_one(history: History) -> None:
    with history.run() as run, history.open_message() as one, history.open_message() as other:
        for piece in ("a", "b"):
            one.write(piece)
            one.flush()
            other.write(piece.upper())
            other.flush()
    lines, _ = encoded(history, run.id)
    assert "".join(line["content"] for line in lines) == "ab\n\nAB"
    assert {line["id"] for line in lines} == {one.block.id}


def test_an_answer_without_a_word_is_one_and_a_run_without_an_answer_has_none(history: History) -> None:
    with history.run() as run:
        history.append_assistant_message("")
    with history.run() as other:
        history.append_status_message("nothing to say")
    assert [line["content"] for line in encoded(history, run.id)[0]] == [""]
    lines, encoder = encoded(history, other.id)
    assert (lines, encoder.complete) == ([], True)
    assert encoder.end()["id"] == other.id


def test_a_run_that_failed_is_over_and_not_complete(history: History) -> None:
    run = history.run()
    with pytest.raises(LookupError), run, history.open_message() as block:
        block.write("par")
        raise LookupError("died")
    [line], encoder = encoded(history, run.id)
    assert (line["content"], encoder.over, encoder.complete) == ("par", True, False)
    assert (encoder.end()["state"], encoder.end()["error"]) == ("failed", "LookupError: died")


def test_of_a_history_that_was_erased_no_more_is_told(history: History) -> None:
    run = history.run()
    with pytest.raises(ContextErased), run:
        block = history.open_message()
        encoder = RagnaLinesEncoder(run.id)
        with history.subscribe(run=run.id, timeout=10) as changes:
            assert [encoder.encode(next(changes)) for _ in range(2)] == [[], []]
            history.erase()
            for change in changes:
                assert encoder.encode(change) == []
        block.write("too late")
        block.flush()
    assert (encoder.over, encoder.complete, encoder.end()["state"]) == (True, False, "erased")
