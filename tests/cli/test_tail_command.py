"""`chatstore tail`: once each and in order, from a pipe's end, across stopping and resuming."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from command_process import COMMAND, DEADLINE, Process, resume_arguments
from typer.testing import Result

from chatstore import BlockDraft, ChatStore, Tag

Start = Callable[..., Process]
Run = Callable[..., Result]


def indexes(lines: list[str]) -> list[int]:
    return [json.loads(line)["block"]["index"] for line in lines]


def test_a_pipe_sees_each_block_when_it_is_appended(store: ChatStore, start: Start) -> None:
    store.history("c").append_user_message("first")
    tail = start("tail", "c", "-f", "--json")
    assert json.loads(tail.line())["block"]["text"] == "first"
    for number in range(5):
        block = store.history("c").append_assistant_message(f"answer {number}")
        change = json.loads(tail.line())
        assert (change["change"], change["cursor"], change["block"]["text"]) == (
            "block_added",
            block.cursor,
            block.text,
        )


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly_with_the_cursor_to_resume_at(
    store: ChatStore, start: Start, number: int, exit_code: int
) -> None:
    store.history("c").append_user_message("first")
    tail = start("tail", "c", "--follow", "--json")
    cursor = json.loads(tail.line())["cursor"]
    assert tail.stop(number) == ([], [f"resume with: chatstore tail c -f --json --after {cursor}"], exit_code)


@pytest.mark.slow
def test_stopped_at_any_moment_and_resumed_it_prints_every_block_once(store: ChatStore, start: Start) -> None:
    enough, stops, random_ = threading.Event(), 8, random.Random(7)

    def write() -> None:
        for number in count():
            if enough.is_set():
                break
            store.history("c").append_user_message(f"message {number}")
            time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    arguments = ["tail", "c", "-f", "--json"]
    try:
        for _ in range(stops):
            tail = start(*arguments)
            seen += indexes([tail.line() for _ in range(random_.randint(1, 200))])
            lines, errors, _ = tail.stop(random_.choice([signal.SIGINT, signal.SIGTERM]))
            seen += indexes(lines)
            arguments = resume_arguments(errors)
    finally:
        enough.set()
        writer.join()
    arguments.remove("-f")
    seen += indexes(start(*arguments).rest())
    assert seen == list(range(store.history("c").count()))


def test_the_cursor_at_the_end_lies_behind_what_the_filter_left_out(store: ChatStore, run: Run) -> None:
    history = store.history("c")
    history.append_user_message("said")
    history.append_status_message("working")
    result = run("tail", "c", "--type", "message")
    assert "said" in result.stdout and "working" not in result.stdout
    assert resume_arguments(result.stderr.splitlines()) == ["tail", "c", "--type", "message", "--after", history.head()]


def test_a_cursor_of_one_filter_resumes_under_another(store: ChatStore, run: Run) -> None:
    history = store.history("c")
    for number in range(3):
        history.append_user_message(f"question {number}")
        history.append_status_message(f"status {number}", author="worker")
    cursor = history.get_messages(kind="transcript")[1].cursor
    assert texts(run("tail", "c", "--json", "--author", "worker", "--after", cursor)) == ["status 1", "status 2"]
    assert texts(run("tail", "c", "--json", "--kind", "transcript", "--after", cursor)) == ["question 2"]


def test_types_and_authors_can_be_repeated(store: ChatStore, run: Run) -> None:
    for type, author in (("a", "x"), ("b", "y"), ("c", "x"), ("a", "z")):
        store.history("c").append(BlockDraft(type=type, author=author, text=type + author))
    chosen = run("tail", "c", "--json", "--type", "a", "--type", "c", "--author", "x", "--author", "z")
    assert texts(chosen) == ["ax", "cx", "az"]


def test_what_was_changed_about_a_block_is_printed_too(store: ChatStore, run: Run) -> None:
    block = store.history("c").append_assistant_message("done")
    store.history("c").tag(block, Tag(kind="rated", name="good"))
    assert [json.loads(line)["change"] for line in run("tail", "c", "--json").stdout.splitlines()] == [
        "block_added",
        "block_updated",
    ]
    assert "assistant updated  rated:good" in run("tail", "c").stdout


@pytest.mark.slow
def test_from_now_on_means_nothing_that_is_there(store: ChatStore, start: Start) -> None:
    store.history("c").append_user_message("before")
    tail = start("tail", "c", "-f", "--json", "--after", "now", "--kind", "transcript")
    tail_waits_for_changes(store, tail)
    assert "before" not in texts_of(tail.stop()[0])


def tail_waits_for_changes(store: ChatStore, tail: Process) -> None:
    """Appends until the command has seen one: it has subscribed by then."""
    seen = threading.Event()

    def write() -> None:
        while not seen.wait(0.05):
            store.history("c").append_user_message("after")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert json.loads(tail.line())["block"]["text"] == "after"
    finally:
        seen.set()
        writer.join()


@pytest.mark.parametrize("where", ["new.db", "not/there/yet/new.db"])
def test_following_waits_for_a_store_and_a_context_to_come(path: Path, start: Start, where: str) -> None:
    file = path.parent / where
    tail = start("tail", "c", "-f", "--store", where)
    assert tail.line("err") == f"waiting for the store {file}"
    assert not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with ChatStore(file) as store:
        assert tail.line("err") == "waiting for the context c"
        store.history("c").append_user_message("at last")
        assert tail.line().endswith("user")
        assert tail.line().strip() == "at last"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_a_store(start: Start, number: int) -> None:
    tail = start("tail", "c", "-f", "--store", "none.db")
    tail.line("err")
    assert tail.stop(number) == ([], [], 128 + number)


@pytest.mark.slow
def test_stopped_before_the_first_change_it_resumes_at_the_beginning(store: ChatStore, start: Start) -> None:
    tail = start("tail", "c", "-f")
    assert tail.line("err") == "waiting for the context c"
    _, errors, _ = tail.stop()
    store.history("c").append_user_message("first")
    arguments = resume_arguments(errors)
    arguments.remove("-f")
    assert start(*arguments).rest()[1].strip() == "first"


@pytest.mark.parametrize("context", ["-dash", "two words", "it's", "\x1b[31m", "日本語", "a\nb", "--", "$HOME"])
def test_the_resume_command_can_be_pasted(store: ChatStore, run: Run, context: str) -> None:
    store.history(context).append_user_message("x")
    errors = run("tail", "--", context).stderr
    line = errors.splitlines()[-1].replace("resume with: chatstore", "")
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    result = run(*words.decode().split("\0")[:-1])
    assert (result.stdout, result.exit_code) == ("", 0)


def test_the_resume_command_repeats_what_was_asked_for(store: ChatStore, run: Run, path: Path) -> None:
    history = store.history({"user": "u 1", "channel": "web"})
    history.append_user_message("x")
    asked = ["--key", "user=u 1", "--key", "channel=web", "--store", str(path), "--full", "--kind", "transcript"]
    result = run("tail", *asked, "--author", "a'b")
    expected = ["tail", *asked, "--author", "a'b", "--after", history.head()]
    assert resume_arguments(result.stderr.splitlines()) == expected


def test_a_reader_that_leaves_ends_it_quietly(store: ChatStore) -> None:
    store.history("c").append([BlockDraft(role="user", text="x" * 1000) for _ in range(2000)])
    command = [*COMMAND, "tail", "c", "--store", str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None and tail.stderr is not None
        tail.stdout.readline()
        tail.stdout.close()
        assert (tail.stderr.read(), tail.wait(DEADLINE)) == (b"", 141)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_in_the_middle_of_a_line_does_not_cut_it(store: ChatStore, unbuffered: str) -> None:
    block = store.history("c").append_user_message("x" * 10_000_000)  # more than any pipe holds
    command = [*COMMAND, "tail", "c", "-f", "--json", "--store", str(store.path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as tail:
        assert tail.stdout is not None
        first = os.read(tail.stdout.fileno(), 1)
        tail.send_signal(signal.SIGINT)
        rest, errors = tail.communicate(timeout=DEADLINE)
    assert json.loads(first + rest)["block"]["text"] == block.text
    assert resume_arguments(errors.decode().splitlines())[-1] == block.cursor


def test_a_second_signal_ends_it_though_nobody_reads(store: ChatStore) -> None:
    store.history("c").append_user_message("x" * 10_000_000)  # more than any pipe holds: its writing cannot end
    command = [*COMMAND, "tail", "c", "-f", "--store", str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None and tail.stderr is not None
        os.read(tail.stdout.fileno(), 1)
        deadline = time.monotonic() + DEADLINE
        while tail.poll() is None and time.monotonic() < deadline:
            tail.send_signal(signal.SIGINT)
            threading.Event().wait(0.05)
        code = tail.poll()
        tail.kill()  # or else a failure would wait for it
        assert (code, tail.stderr.read()) == (130, b"")


def texts(result: Result) -> list[str]:
    assert result.exit_code == 0
    return texts_of(result.stdout.splitlines())


def texts_of(lines: list[str]) -> list[str]:
    return [json.loads(line)["block"]["text"] for line in lines]
