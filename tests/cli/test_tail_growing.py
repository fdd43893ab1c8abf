"""`chatstore tail` of blocks that grow: from another process, through a pipe, stopped and resumed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from command_process import COMMAND, DEADLINE, Process, resume_arguments
from typer.testing import Result

from chatstore import ChatStore
from chatstore.history import History

pytestmark = pytest.mark.slow

Start = Callable[..., Process]
Run = Callable[..., Result]

WRITES = """
import sys
from chatstore import ChatStore
with ChatStore(sys.argv[1]) as store, store.history("c").run():
    with store.history("c").open_message(author="bob") as block:
        for line in sys.stdin:
            block.write(line.rstrip("\\n"))
            block.flush()
"""


class Writer:
    """Another process, which writes the pieces it is told into one block."""

    def __init__(self, store: Path) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", WRITES, str(store)], stdin=pipe, text=True)

    def write(self, piece: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{piece}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0


@pytest.fixture
def writer(store: ChatStore) -> Iterator[Writer]:
    writer = Writer(store.path)
    yield writer
    writer.process.kill()
    writer.process.wait()
    if writer.process.stdin is not None:
        writer.process.stdin.close()


@contextmanager
def tail(*arguments: str, store: ChatStore) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose output is read byte by byte."""
    given = [] if "--store" in arguments else ["--store", str(store.path)]
    command = [*COMMAND, "tail", *arguments, *given]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        timer = threading.Timer(DEADLINE, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def read_until(process: subprocess.Popen[bytes], end: str) -> str:
    """What is printed up to and with these characters, as soon as they are there."""
    assert process.stdout is not None and process.stderr is not None
    read = b""
    while not read.endswith(end.encode()):
        piece = os.read(process.stdout.fileno(), 1)
        assert piece, (read, process.stderr.read())
        read += piece
    return read.decode()


def said(output: str) -> str:
    """The text of one block, put together from the lines it was printed on."""
    found = re.findall(r"^(?: {9}|    0 …  bob  )(.*)\n", output, re.MULTILINE)
    return "".join(found)


def test_a_pipe_sees_each_piece_when_it_is_written(store: ChatStore, writer: Writer) -> None:
    with tail("c", "-f", "--kind", "transcript", store=store) as process:
        writer.write("one ")
        assert re.fullmatch(r"    0  .{19}  assistant · bob\n         one ", read_until(process, "one "))
        for number in range(5):
            writer.write(f"piece {number} ")
            assert read_until(process, f"{number} ") == f"piece {number} "
        writer.close()
        assert read_until(process, "\n") == "\n"


def test_a_late_joiner_sees_the_whole_text_once(store: ChatStore, writer: Writer, run: Run) -> None:
    pieces = [f"{number} " for number in range(50)]
    for piece in pieces[:30]:
        writer.write(piece)
    with tail("c", "-f", store=store) as process:
        output = read_until(process, pieces[29])
        for piece in pieces[30:]:
            writer.write(piece)
        writer.close()
        output += read_until(process, " s\n")
    assert said(output) == "".join(pieces)
    assert said(run("tail", "c").stdout) == "".join(pieces).rstrip()


@pytest.mark.slow
def test_stopped_and_resumed_in_the_middle_of_a_block_it_prints_the_text_once(
    store: ChatStore, writer: Writer, start: Start
) -> None:
    """Twenty times; what is written while nobody looks is printed by the next, and a status comes in between."""
    written, numbers, output, arguments = "", count(), "", ["c", "-f"]

    def write(pieces: int) -> str:
        nonlocal written
        for _ in range(pieces):
            piece = f"{next(numbers)} "
            writer.write(piece)
            written += piece
        return piece

    for round_ in range(20):
        with tail(*arguments, store=store) as process:
            output += read_until(process, write(3))
            if round_ % 5 == 4:
                store.history("c").append_status_message(f"status {round_}")
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=DEADLINE)
        output += rest.decode()
        assert process.returncode == 130
        arguments = resume_arguments(errors.decode().splitlines())[1:]
        write(2)
    assert "--printed" in arguments
    writer.close()
    arguments.remove("-f")
    output += "\n".join(start("tail", *arguments).rest()) + "\n"
    assert said(output) == written
    assert re.findall(r"status \d+", output) == [f"status {number}" for number in (4, 9, 14, 19)]
    assert output.count("completed") == 1


def test_a_block_that_ends_while_nobody_looks_goes_on_where_the_printed_text_ended(store: ChatStore, run: Run) -> None:
    block = store.history("c").open_message(author="bob")
    block.write("one two")
    block.flush()
    first = run("tail", "c")
    assert "open" in first.stdout and first.stdout.endswith("\n         one two\n")
    block.write(" three")
    block.fail("gave up")
    store.compact()
    second = run(*resume_arguments(first.stderr.splitlines()))
    assert second.stdout.splitlines()[0] == "    0 …  bob   three"
    assert re.fullmatch(r"    0  .{19}  assistant · bob  failed  Error: gave up", second.stdout.splitlines()[1])


@pytest.mark.parametrize("everything", [False, True])
def test_blocks_that_grow_at_once_are_each_printed_once_and_whole(store: ChatStore, everything: bool) -> None:
    ends = [threading.Thread(target=stream, args=(store.history(context), name)) for context, name in AGENTS]
    if everything:
        ends = [threading.Thread(target=stream, args=(store.history(name), name)) for _, name in AGENTS]
    arguments = ["--all"] if everything else ["c"]
    with tail(*arguments, "-f", "--kind", "transcript", store=store) as process:
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        store.history("c").append_user_message("the end")
        output = read_until(process, "the end\n")
    for _, name in AGENTS:
        pieces = re.findall(rf"{name}(\d+);", output)
        assert pieces == [str(number) for number in range(PIECES)]
    lines = [line for line in output.splitlines() if ";" in line]
    assert all(
        len({name for _, name in AGENTS if name in line.partition("  ")[2].split("  ")[-1]}) == 1 for line in lines
    )
    assert len(lines) < PIECES


AGENTS = (("c", "alice"), ("c", "bob"), ("c", "carol"))
PIECES = 150


def stream(history: History, name: str) -> None:
    with history.open_message(author=name) as block:
        for number in range(PIECES):
            block.write(f"{name}{number};")
            threading.Event().wait(0.005)


def test_json_has_each_change_on_a_line(store: ChatStore, start: Start) -> None:
    process = start("tail", "c", "-f", "--json")
    history = store.history("c")
    process.line("err")
    with history.run() as run, history.open_message(author="bob") as block:
        lines = [json.loads(process.line()) for _ in range(2)]
        block.write("one")
        block.flush()
        lines.append(json.loads(process.line()))
        block.close()
        lines.append(json.loads(process.line()))
    lines.append(json.loads(process.line()))
    assert [line["change"] for line in lines] == [
        "run_started",
        "block_added",
        "text_appended",
        "block_closed",
        "run_ended",
    ]
    assert (lines[2]["offset"], lines[2]["text"], lines[2]["author"]) == (0, "one", "bob")
    assert (lines[3]["block"]["text"], lines[3]["block"]["run_id"]) == ("one", run.id)
    assert lines[4]["run"]["state"] == "completed"


def test_the_tail_of_a_run_ends_when_the_run_ends(store: ChatStore, start: Start) -> None:
    history = store.history("c")
    history.append_user_message("before")
    with history.run() as run:
        process = start("tail", "c", "--run", run.id)
        history.append_assistant_message("inside")
        with store.history("other").run():
            pass
        assert [process.line().split()[-1] for _ in range(3)] == [run.id, "assistant", "inside"]
    assert "completed" in process.line()
    assert process.wait() == 0
    history.append_user_message("after")
    assert process.rest() == []
    assert "--run" in resume_arguments(process.rest("err"))


def test_the_tail_of_an_unknown_run_is_an_error(store: ChatStore, run: Run) -> None:
    store.history("c").append_user_message("x")
    result = run("tail", "c", "--run", "typo")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "error: no run typo in this history\n", 1)


def test_the_tail_of_everything_says_the_context_of_each_line(store: ChatStore, run: Run) -> None:
    store.history("one").append_user_message("x")
    store.history({"user": "u1"}).append_status_message("y", author="z")
    two = store.history({"user": "u1"}).context_id
    with store.history("on\x1be").run():
        pass
    heads = [line[28:].split("  ")[0] for line in run("tail", "--all").stdout.splitlines() if line[:5].strip()]
    assert heads == ["one", two, "on␛e", "on␛e"]
    assert "y" not in run("tail", "--all", "--kind", "transcript").stdout
    assert run("tail", "--all", "--author", "z", "--json").stdout.count("\n") == 1
    keyed = run("tail", "--all", "--key", "user=u1", "--json").stdout.splitlines()
    assert [json.loads(line)["context_id"] for line in keyed] == [two]


def test_the_tail_of_everything_resumes_at_the_cursor_of_the_store(store: ChatStore, start: Start, run: Run) -> None:
    for number in range(3):
        store.history(f"{number}").append_user_message(f"message {number}")
    process = start("tail", "--all", "-f", "--json")
    lines = [json.loads(process.line()) for _ in range(3)]
    _, errors, _ = process.stop()
    store.history("new").append_user_message("message 3")
    arguments = resume_arguments(errors)
    assert arguments[-1] == lines[-1]["store_cursor"]
    arguments.remove("-f")
    (line,) = run(*arguments).stdout.splitlines()
    assert json.loads(line)["block"]["text"] == "message 3"
    assert run("tail", "--all", "--after", lines[1]["store_cursor"]).stdout.count("message") == 2


def test_show_says_how_a_block_ended(store: ChatStore, run: Run) -> None:
    history = store.history("c")
    for end in ("cancel", "fail", "close"):
        block = history.open_message()
        block.write(f"{end} text")
        getattr(block, end)(*([ValueError("lost")] if end == "fail" else []))
    with history.open_message() as block:
        block.write("open text")
        block.flush()
        lines = run("show", "c").stdout.splitlines()
    assert [line[28:] for line in lines[::2]] == [
        "assistant  cancelled",
        "assistant  failed  ValueError: lost",
        "assistant",
        "assistant  open",
    ]
    assert [line.strip() for line in lines[1::2]] == ["cancel text", "fail text", "close text", "open text"]


def test_a_block_whose_process_was_killed_is_marked_as_interrupted(store: ChatStore, writer: Writer) -> None:
    with tail("c", "-f", store=store) as process:
        writer.write("as far as ")
        read_until(process, "as far as ")
        writer.process.kill()
        end = read_until(process, "interrupted\n")
        assert re.fullmatch(r"\n    0  .{19}  assistant · bob  interrupted\n", end)
        assert "run  " in read_until(process, " interrupted  ")
