"""`chatstore append`: one block, from an argument or from standard input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from chatstore import ChatStore, Tag

Run = Callable[..., Result]


def test_it_prints_the_index_and_the_cursor(store: ChatStore, run: Run) -> None:
    for index in range(2):
        result = run("append", "c", "hello")
        assert (result.stdout, result.exit_code) == (f"{index} {store.history('c').head()}\n", 0)


def test_a_store_that_is_made_for_it_is_named_for_its_name_may_be_misspelt(run: Run, path: Path) -> None:
    made, there = run("append", "c", "one"), run("append", "c", "two")
    assert (made.exit_code, made.stderr) == (0, f"a new store: {path}\n")
    assert (there.exit_code, there.stderr) == (0, "")


def test_a_message_is_a_persons_unless_it_says_otherwise(store: ChatStore, run: Run) -> None:
    run("append", "c", "question")
    run("append", "c", "answer", "--role", "assistant", "--author", "bot", "--tag", "topic:a:b", "--tag", "x:y")
    run("append", "c", "working", "--type", "status")
    asked, answered, status = store.history("c").get_messages()
    assert (asked.type, asked.role, asked.text) == ("message", "user", "question")
    assert (answered.role, answered.author) == ("assistant", "bot")
    assert answered.tags == (Tag(kind="topic", name="a:b"), Tag(kind="x", name="y"))
    assert (status.type, status.role) == ("status", None)


@pytest.mark.parametrize("arguments", [("c",), ("c", "-")])
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("one line\n", "one line"),
        ("windows\r\n", "windows"),
        ("no end", "no end"),
        ("two\n\n", "two\n"),
        ("mixed\r\nends\n", "mixed\r\nends"),
        ("日本語\n", "日本語"),
        ("ends in \r", "ends in \r"),
        ("\n", ""),
    ],
)
def test_text_comes_from_standard_input(
    store: ChatStore, run: Run, arguments: tuple[str, ...], given: str, stored: str
) -> None:
    assert run("append", *arguments, input=given.encode()).exit_code == 0
    assert [block.text for block in store.history("c").get_messages()] == [stored]


def test_empty_input_is_refused_for_what_should_have_written_it_failed(store: ChatStore, run: Run) -> None:
    result = run("append", "c", input=b"")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: standard input was empty")
    assert store.contexts() == []


def test_input_that_is_not_utf8_is_refused(store: ChatStore, run: Run) -> None:
    result = run("append", "c", input=b"caf\xe9")
    assert (result.stderr, result.exit_code) == ("error: standard input is not UTF-8: byte 3 is 0xe9\n", 2)
    assert store.contexts() == []


def test_with_keys_the_only_argument_is_the_text(store: ChatStore, run: Run) -> None:
    keys = ("--key", "user=u1", "--key", "channel=a=b")
    run("append", "hello", *keys)
    run("append", *keys, input=b"from a pipe")
    blocks = store.history({"channel": "a=b", "user": "u1"}).get_messages()
    assert [block.text for block in blocks] == ["hello", "from a pipe"]
    assert "hello" in run("show", *keys).stdout


def test_json_prints_the_block(store: ChatStore, run: Run) -> None:
    printed = json.loads(run("append", "c", "hello", "--json").stdout)
    assert printed == store.history("c").get_messages()[0].model_dump(mode="json")


def test_an_idempotency_key_stores_it_once(store: ChatStore, run: Run) -> None:
    first, second = (run("append", "c", "hello", "--idempotency-key", "k") for _ in range(2))
    assert first.stdout == second.stdout
    assert store.history("c").count() == 1
    other = run("append", "c", "bye", "--idempotency-key", "k")
    assert other.exit_code == 1 and other.stderr.startswith("error: ")


@pytest.mark.parametrize("type", ["function_call", "function_result"])
def test_what_names_a_function_is_refused_with_what_to_do(store: ChatStore, run: Run, type: str) -> None:
    refused = run("append", "--type", type, "c", "not json")
    assert (refused.exit_code, store.contexts()) == (2, [])
    assert f"history.append_{type}(…)" in refused.stderr
