"""Commands on a store at the address of a server: the token they take, what they do there, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from http_support import Served
from typer.testing import CliRunner, Result

from chatstore import ChatStore
from chatstore.cli import app
from chatstore.cli.serve import checked_origin
from chatstore.errors import InvalidInput

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command, as somebody who is not where the store is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATSTORE_TOKEN", raising=False)
    return lambda *arguments, **options: CliRunner().invoke(app, [*map(str, arguments)], **options)


def test_a_token_is_taken_from_the_command_line_and_the_environment(
    served: Served, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = served.token()
    missing = run("ls", "--store", served.url)
    assert (missing.exit_code, "needs a token" in missing.output) == (1, True)
    assert "to commands in CHATSTORE_TOKEN" in missing.output
    assert run("append", "c", "Hello", "--store", served.url, "--token", token).exit_code == 0
    assert run("--store", served.url, "--token", token, "show", "c").output.endswith("Hello\n")
    assert run("ls", served.url).exit_code == 1, "what one command was given is not the next one's"
    monkeypatch.setenv("CHATSTORE_TOKEN", token)
    assert run("ls", served.url).output.startswith("c\t1\t")
    wrong = run("ls", served.url, "--token", "a-wrong-one")
    assert wrong.exit_code == 1
    assert "a-wrong-one" not in wrong.output
    assert token not in wrong.output


def test_in_the_environment_it_is_in_the_way_of_no_store_of_this_machine(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATSTORE_TOKEN", "of some server")
    assert run("append", "c", "Hello", "--store", tmp_path / "own.db").exit_code == 0


def test_what_reads_and_writes_does_so_at_an_address(
    served: Served, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATSTORE_TOKEN", served.token())
    monkeypatch.setenv("CHATSTORE_STORE", served.url)
    file = tmp_path / "given.jsonl"
    file.write_text(json.dumps({"id": "given", "messages": [{"role": "user", "content": "From a file"}]}))
    for command, said in (
        (("import", file), "imported 1 conversations"),
        (("export", "given"), '"From a file"'),
        (("show", "given"), "From a file"),
        (("tail", "given"), "From a file"),
        (("info",), served.url),
        (("check",), "all is as it was written"),
        (("runs",), ""),
        (("erase", "given", "--yes"), "given erased"),
    ):
        done = run(*command)
        assert done.exit_code == 0, (command, done.output)
        assert said in done.output, (command, done.output)


@pytest.mark.parametrize(
    "command",
    [
        ("serve",),
        ("token", "--read"),
        ("doctor",),
        ("migrate",),
        ("vacuum",),
        ("check", "--repair"),
        ("backup", "copy.db"),
        ("demo",),
    ],
    ids=lambda command: " ".join(command),
)
def test_what_is_for_the_machine_of_the_store_says_so(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "--store", "http://localhost:9")
    assert done.exit_code == 2, done.output
    assert "takes a file or a database, and not the address of a server; run it over there" in done.output


def test_what_tail_prints_to_go_on_has_no_token(served: Served, run: Run, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("Hello")
    token = served.token()
    done = run("tail", "c", "--store", served.url, "--token", token)
    assert done.exit_code == 0
    assert token not in done.output


@pytest.mark.parametrize(
    ("origin", "instead"),
    [
        ("app.example", "such as https://app.example"),
        ("*", "such as https://app.example"),
        ("https://*.app.example", "such as https://app.example"),
        ("https://app.example/", "write https://app.example and"),
        ("https://app.example:8443/page?x#y", "write https://app.example:8443 and"),
        ("https://user@app.example", "write https://app.example and"),
        ("https://app.example:port", "such as https://app.example"),
        ("localhost:5173", "such as https://app.example"),
        ("null", "such as https://app.example"),
    ],
)
def test_an_origin_that_no_browser_tells_is_refused(run: Run, tmp_path: Path, origin: str, instead: str) -> None:
    done = run("serve", tmp_path / "chat.db", "--origin", origin)
    assert done.exit_code == 2
    assert instead in done.output


def test_an_origin_as_browsers_tell_it_is_taken() -> None:
    for origin in ("https://app.example", "http://localhost:5173", "http://[::1]:5173", "chrome-extension://abc"):
        assert checked_origin(origin) == origin
    with pytest.raises(InvalidInput):
        checked_origin("")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("nope.invalid", "no address of that name is known"),
        ("192.0.2.1", "that is no address of this machine"),
    ],
)
def test_a_host_that_is_none_of_this_machine_is_told_apart(run: Run, tmp_path: Path, host: str, why: str) -> None:
    done = run("serve", tmp_path / "chat.db", "--host", host, "--port", "0")
    assert done.exit_code == 1
    assert why in done.output
    assert "another --port" not in done.output


def test_what_other_programs_left_is_imported_into_it(
    served: Served, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATSTORE_TOKEN", served.token())
    usage = {"input_tokens": 3}
    said = [
        {"type": "user", "uuid": "1", "sessionId": "s", "message": {"role": "user", "content": "Hi"}},
        {
            "type": "assistant",
            "uuid": "2",
            "message": {"id": "m", "content": [{"type": "text", "text": "Ho"}], "usage": usage},
        },
    ]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in said))
    for expected in ("1 conversations: 2 messages", "1 stored before"):
        result = run("import", tmp_path / "log.jsonl", "--store", served.url)
        assert (result.exit_code, expected in result.output) == (0, True), result.output
    assert "Ho" in run("show", "log", "--store", served.url).output
