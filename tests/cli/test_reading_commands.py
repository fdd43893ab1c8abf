"""`chatstore show`, `ls` and `info`: what is stored, for people and for programs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

import chatstore
from chatstore import Block, BlockDraft, ChatStore, Context, Part, Tag
from chatstore.cli import show
from chatstore.cli.render import when
from chatstore.schema import SCHEMA_VERSION

Run = Callable[..., Result]


@pytest.fixture
def conversation(store: ChatStore) -> ChatStore:
    history = store.history("c")
    history.append_user_message("What is the weather\nin Paris?", author="anna")
    history.append_status_message("Looking it up", author="agent")
    call = history.append_function_call("get_weather", {"city": "Paris", "days": 2}, call_id="1", author="agent")
    history.append_function_result("18 °C", call=call)
    broken = history.append_function_call("get_weather", '{"city": "Par', call_id="1")
    history.append_function_result("no such city\n" * 100, call=broken, is_error=True)
    picture = Part(type="image", mime_type="image/png", content=b"123", name="map.png")
    history.append_assistant_message("18 °C.", author="agent", parts=[picture], tags=[Tag(kind="topic", name="sky")])
    history.append_assistant_message("between us", internal=True)
    history.append(BlockDraft(type="artifact", data={"x": [1]}, text="made"))
    return store


def heads(result: Result) -> list[str]:
    """What each block's line says behind its time."""
    assert result.exit_code == 0
    return [line[28:] for line in result.stdout.splitlines() if line[:5].strip()]


def printed(values: Iterable[Block | Context]) -> list[object]:
    return [value.model_dump(mode="json") for value in values]


def json_lines(result: Result) -> list[object]:
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("conversation")
def test_show_prints_the_transcript(run: Run) -> None:
    result = run("show", "c")
    assert heads(result) == ["user · anna", "assistant · agent  topic:sky"]
    below = [line for line in result.stdout.splitlines() if not line[:5].strip()]
    assert below == [
        "         What is the weather",
        "         in Paris?",
        "         18 °C.",
        "         [image image/png map.png 3 bytes]",
    ]


def test_show_tells_when_an_imported_message_was_said_and_tail_when_it_was_stored(store: ChatStore, run: Run) -> None:
    said = datetime(2024, 5, 1, 12, 0, 7, tzinfo=UTC)
    stored = store.history("old").append_user_message("Hi", data={"timestamp": said.isoformat()})
    assert f"0  {when(said)}  user" in run("show", "old").stdout
    assert f"0  {when(stored.created_at)}  user" in run("tail", "old").stdout


@pytest.mark.usefixtures("conversation")
def test_calls_and_results_are_compact_in_a_trace(run: Run) -> None:
    lines = heads(run("show", "c", "--kind", "trace"))
    assert lines[1] == "status · agent  Looking it up"
    assert lines[2] == 'call · agent  get_weather(city="Paris", days=2)'
    assert lines[3] == "result  18 °C"
    assert lines[4] == 'call  get_weather({"city": "Par)'
    assert lines[5].startswith("result  error  no such city no such city") and lines[5].endswith("… (1,300 characters)")
    assert lines[7:] == ["assistant  internal", 'artifact  {"x":[1]}  made']


@pytest.mark.usefixtures("conversation")
def test_full_leaves_nothing_out(run: Run) -> None:
    result = run("show", "c", "--kind", "trace", "--full", "--type", "function_result")
    assert result.stdout.count("         no such city\n") == 100


def test_show_as_json_is_what_the_library_returns(conversation: ChatStore, run: Run) -> None:
    history = conversation.history("c")
    for kind in ("transcript", "prompt", "trace"):
        assert json_lines(run("show", "c", "--json", "--kind", kind)) == printed(history.get_messages(kind=kind))
    chosen = run("show", "c", "--json", "--kind", "trace", "--author", "agent", "--type", "status", "--type", "message")
    assert json_lines(chosen) == printed(history.get_messages(types=["status", "message"], authors=["agent"]))
    assert json_lines(run("show", "c", "--json", "-n", "1")) == printed(history.get_messages(kind="transcript", last=1))


def test_a_history_longer_than_a_page_is_shown_whole(
    store: ChatStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "PAGE", 3)
    store.history("c").append([BlockDraft(role="user", text=str(number)) for number in range(10)])
    for options in ([], ["--kind", "trace"], ["--kind", "prompt"]):
        blocks = json_lines(run("show", "c", "--json", *options))
        assert [block["text"] for block in blocks if isinstance(block, dict)] == list(map(str, range(10)))


def test_a_pipe_gets_neither_colours_nor_wrapped_lines(store: ChatStore, run: Run) -> None:
    store.history("c").append_user_message("word " * 100)
    assert run("show", "c").stdout.splitlines()[1] == " " * 9 + ("word " * 100).rstrip()
    assert "\x1b" not in run("show", "c").stdout


def test_a_terminal_gets_colours_and_lines_that_fit(
    store: ChatStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    store.history("c").append_user_message("word " * 100)
    head, *below = run("show", "c").stdout.splitlines()
    assert "\x1b[" in head
    assert len(below) > 5 and all(len(line) <= 60 for line in below)


def test_ls_prints_a_context_a_line(store: ChatStore, run: Run) -> None:
    store.history("one").append_user_message("x")
    store.history("one").tag_context(Tag(kind="topic", name="sky"), Tag(kind="score", name="q", value=1))
    store.history({"user": "u1", "channel": "web"}).append([BlockDraft(text="x"), BlockDraft(text="y")])
    one, two = (line.split("\t") for line in run("ls").stdout.splitlines())
    assert (one[:2], one[3:]) == (["one", "1"], ["", "topic:sky score:q=1"])
    assert (two[1], two[3:]) == ("2", ["channel=web user=u1", ""])
    assert json_lines(run("ls", "--json")) == printed(store.contexts())


def test_ls_is_narrowed_by_keys_and_tags(store: ChatStore, run: Run) -> None:
    for user in ("u1", "u2"):
        for channel in ("web", "app"):
            store.history({"user": user, "channel": channel}).append_user_message("x")
    store.history("tagged").tag_context(Tag(kind="topic", name="sky"))
    assert json_lines(run("ls", "--json", "--key", "user=u1")) == printed(store.contexts(keys={"user": "u1"}))
    assert len(json_lines(run("ls", "--json", "--key", "user=u1", "--key", "channel=web"))) == 1
    assert json_lines(run("ls", "--json", "--tag", "topic:sky")) == printed(store.contexts(tags=[("topic", "sky")]))


def test_ls_says_when_there_are_more(store: ChatStore, run: Run) -> None:
    for number in range(3):
        store.history(f"{number}").append_user_message("x")
    cut, whole = run("ls", "--limit", "2"), run("ls", "--limit", "3")
    assert (cut.stdout.count("\n"), whole.stdout.count("\n")) == (2, 3)
    assert cut.stderr == "the first 2 contexts; there are more, see --limit\n"
    assert whole.stderr == ""


def test_info_says_what_the_store_is_and_holds(conversation: ChatStore, run: Run, path: Path) -> None:
    conversation.history("d").append_user_message("x")
    (facts,) = json_lines(run("info", "--json"))
    assert isinstance(facts, dict)
    assert facts.pop("bytes_on_disk") >= path.stat().st_size
    assert facts == {
        "path": str(path),
        "identity": conversation.identity,
        "format": SCHEMA_VERSION,
        "contexts": 2,
        "blocks": 10,
        "sqlite": sqlite3.sqlite_version,
        "chatstore": chatstore.__version__,
    }
    assert f"identity        {conversation.identity}\n" in run("info").stdout


@pytest.mark.parametrize("command", ["info", "ls"])
def test_the_store_may_be_named_as_an_argument(run: Run, path: Path, command: str) -> None:
    with ChatStore(path.with_name("other.db")) as other:
        other.history("c").append_user_message("Hi")
    named = run(command, "other.db", "--json")
    assert (named.exit_code, named.stdout) == (0, run(command, "--store", "other.db", "--json").stdout)
    assert run(command, "none.db").exit_code == 1


@pytest.mark.usefixtures("conversation")
@pytest.mark.parametrize("command", ["show", "tail", "runs", "export"])
def test_a_misspelt_context_is_told_with_the_one_that_was_meant(store: ChatStore, run: Run, command: str) -> None:
    store.history("support-42").append_user_message("Hello?")
    result = run(command, "suport-42")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert "there is no context 'suport-42'" in result.stderr
    assert "; did you mean 'support-42'? `chatstore ls` lists those that are" in result.stderr
    assert "did you mean" not in run(command, "unlike-any").stderr


@pytest.mark.usefixtures("conversation")
def test_a_kind_without_what_was_asked_for_is_told_from_a_context_without_it(run: Run) -> None:
    calls = run("show", "c", "--type", "function_call")
    assert (calls.stdout, calls.exit_code) == ("", 0)
    assert calls.stderr == "no block is of that in the transcript; --kind trace has every block\n"
    assert run("show", "c", "--type", "function_call", "--kind", "trace").stderr == ""
    assert run("show", "c", "--type", "functioncall", "--kind", "trace").stderr == "no block is of that\n"
    assert run("show", "c", "--last", "0").stderr == ""
