"""`chatstore` itself: which store it means, and how every mistake ends."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_process import COMMAND, DEADLINE, Process
from typer.core import TyperCommand as Command
from typer.main import get_command
from typer.testing import Result

import chatstore
from chatstore import BlockDraft, ChatStore
from chatstore.cli import app

Run = Callable[..., Result]
READING = [("show", "c"), ("tail", "c"), ("tail", "--all"), ("runs",), ("cancel", "r"), ("ls",), ("info",)]


def test_it_says_its_version(run: Run) -> None:
    assert run("--version").stdout == f"chatstore {chatstore.__version__}\n"


def test_help_names_every_command_and_exit_code(run: Run) -> None:
    text = run("--help").stdout
    for word in (
        "tail",
        "show",
        "runs",
        "cancel",
        "ls",
        "append",
        "info",
        "import",
        "export",
        "migrate",
        "demo",
        "130",
        "143",
        "141",
    ):
        assert word in text


@pytest.mark.parametrize("command", get_command(app).commands.values(), ids=lambda command: command.name)
def test_help_shows_every_word_of_every_option(run: Run, command: Command) -> None:
    shown = run(command.name, "--help").stdout.split()
    for parameter in command.params:
        words = (parameter.help or "").split()
        assert any(shown[at : at + len(words)] == words for at in range(len(shown))), parameter.name


NAMED_BY_ARGUMENT = ["ls", "info", "check", "doctor", "vacuum", "migrate", "serve"]


def test_every_command_that_takes_a_store_by_argument_is_known_here() -> None:
    found = get_command(app).commands.values()
    assert {one.name for one in found if "path" in {param.name for param in one.params}} == {*NAMED_BY_ARGUMENT}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", NAMED_BY_ARGUMENT)
def test_two_names_of_a_store_are_refused(run: Run, path: Path, command: str) -> None:
    for arguments in (
        (command, "--store", "x.db", "chatstore.db"),
        (command, "chatstore.db", "--store", "x.db"),
        ("--store", "x.db", command, "chatstore.db"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "error: two stores are named: chatstore.db and --store x.db; leave one of them out\n"
    assert not path.with_name("x.db").exists()


@pytest.mark.usefixtures("store")
def test_an_argument_goes_before_the_environment(run: Run) -> None:
    assert run("ls", "chatstore.db", env={"CHATSTORE_STORE": "x.db"}).exit_code == 0


@pytest.mark.parametrize(
    ("before", "variable", "after", "meant"),
    [
        (None, None, None, "chatstore.db"),
        (None, "variable.db", None, "variable.db"),
        ("before.db", "variable.db", None, "before.db"),
        (None, "variable.db", "after.db", "after.db"),
        ("before.db", "variable.db", "after.db", "after.db"),
    ],
)
def test_the_store_is_the_one_said_last_and_loudest(
    run: Run, path: Path, before: str | None, variable: str | None, after: str | None, meant: str
) -> None:
    early, late = (["--store", said] if said else [] for said in (before, after))
    environment = {"CHATSTORE_STORE": variable} if variable else {}
    assert run(*early, "append", "c", "hello", *late, env=environment).exit_code == 0
    assert [file.name for file in path.parent.glob("*.db")] == [meant]


@pytest.mark.parametrize("command", READING)
def test_reading_does_not_make_a_store(run: Run, path: Path, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert (result.stdout, result.exit_code) == ("", 1)
    assert result.stderr == f"error: there is no store at {path}; --store or CHATSTORE_STORE names another\n"
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("command", [*READING, ("append", "c", "hello")])
@pytest.mark.parametrize("kind", ["directory", "text", "empty", "foreign"])
def test_what_is_not_a_store_is_refused_and_left_alone(
    run: Run, path: Path, command: tuple[str, ...], kind: str
) -> None:
    if kind == "directory":
        path.mkdir()
    elif kind == "foreign":
        with sqlite3.connect(path) as conn:
            conn.execute("CREATE TABLE theirs (x)")
        conn.close()
    else:
        path.write_text("" if kind == "empty" else "just text, and enough of it to have a header" * 10)
    before = None if kind == "directory" else path.read_bytes()
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("tail", ""),
        ("show", "c" * 1001),
        ("show", "c", "--key", "a=b"),
        ("show", "--key", "novalue"),
        ("show", "--key", "a=b", "--key", "a=c"),
        ("show", "c", "--kind", "gossip"),
        ("show", "c", "--last", "-1"),
        ("show", "c", "--last", "many"),
        ("tail", "c", "--after", "nonsense"),
        ("tail", "c", "--after", "000000000000-000000000000-000000000001"),
        ("tail", "c", "--type", ""),
        ("tail",),
        ("tail", "c", "--all"),
        ("tail", "--all", "--run", "r"),
        ("tail", "--all", "--after", "000000000000-000000000000-000000000001"),
        ("tail", "--all", "--after", "000000000000-0000000000000001"),
        ("tail", "c", "--printed", "nonsense"),
        ("tail", "c", "--printed", "=1"),
        ("tail", "c", "--printed", "block=-1"),
        ("runs", "c", "--key", "a=b"),
        ("runs", ""),
        ("cancel",),
        ("cancel", "r", ""),
        ("ls", "--key", "=x"),
        ("ls", "--tag", "nocolon"),
        ("append", "c", "x", "--tag", ":"),
        ("append", "c", "x", "--type", "Not A Type"),
        ("append", "--key", "a=b", "one", "two"),
        ("append", "c", "x", "--role", ""),
        ("tail", "c", "--store", "mysql://host/db"),
        ("tail", "c", "-f", "--store", ""),
        ("nonsense",),
        ("show", "c", "--nonsense"),
    ],
)
def test_wrong_usage_exits_with_2_and_no_traceback(store: ChatStore, run: Run, command: tuple[str, ...]) -> None:
    store.history("c").append_user_message("x")
    result = run(*command)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and "rror" in result.stderr and "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert store.history("c").count() == 1 and len(store.contexts()) == 1


@pytest.mark.parametrize("command", ["show", "tail", "runs"])
def test_a_context_that_does_not_exist_is_an_error_that_names_it(store: ChatStore, run: Run, command: str) -> None:
    result = run(command, "typo")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert "'typo'" in result.stderr and "resume" not in result.stderr
    assert store.contexts() == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [["show", "c"], ["tail", "c"], ["ls"]])
def test_a_reader_that_leaves_ends_a_command_quietly(store: ChatStore, command: list[str]) -> None:
    store.history("c").append([BlockDraft(role="user", text="x" * 1000) for _ in range(500)])
    for number in range(500):
        store.history(f"{number}" + "x" * 500).append_user_message("x")
    arguments = [*COMMAND, *command, "--store", str(store.path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(DEADLINE)) == (b"", 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("asked", [["show", "c"], ["--help"], ["--version"]])
def test_a_full_disk_behind_the_output_is_an_error_of_one_line(
    store: ChatStore, asked: list[str], unbuffered: str
) -> None:
    store.history("c").append_user_message("x")
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        command = [*COMMAND, "--store", str(store.path), *asked]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=DEADLINE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"error: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes what a command inherits")
@pytest.mark.parametrize("asked", [["show", "c"], ["--version"]])
def test_a_closed_output_is_an_error_of_one_line(store: ChatStore, asked: list[str]) -> None:
    store.history("c").append_user_message("x")
    command = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "--store", str(store.path), *asked]
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"error: Bad file descriptor\n")


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes what a command inherits")
def test_an_error_that_cannot_be_told_is_no_part_of_the_output(store: ChatStore) -> None:
    command = ["sh", "-c", '"$@" 2>&-', "sh", *COMMAND, "--store", str(store.path), "show", "nobody's"]
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_narrow_output_encoding_loses_no_block(store: ChatStore, encoding: str) -> None:
    store.history("c").append_user_message("日本語")
    for options, expected in (["--json"], rb'"text":"\u65e5\u672c\u8a9e"'), ([], rb"\u65e5\u672c\u8a9e"):
        command = [*COMMAND, "show", "c", *options, "--store", str(store.path)]
        environment = {"PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, env=environment, timeout=DEADLINE, check=True)
        assert expected in done.stdout


def test_an_argument_that_is_not_utf8_is_refused(start: Callable[..., Process]) -> None:
    process = start("append", "c", b"caf\xe9")
    assert process.wait() == 2
    assert process.rest("err")[0].startswith("error: text has a lone surrogate")
