"""`chatstore runs` and `chatstore cancel`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from chatstore import ChatStore, RunCancelled

Run = Callable[..., Result]


def fail_in(store: ChatStore, context: str) -> str:
    """A run that failed; its id."""
    with pytest.raises(ValueError), store.history(context).run() as run:
        raise ValueError("no such\ncity \x1b[31m")
    return run.id


def test_runs_are_listed_with_how_they_ended_and_the_newest_last(store: ChatStore, run: Run) -> None:
    with store.history("b").run() as outer:
        outer.set_usage({"input_tokens": 12})
        with store.history("a").run() as inner:
            pass
    failed = fail_in(store, "a")
    with store.history("b").run() as last:
        rows = [line.split("\t") for line in run("runs").stdout.splitlines()]
    assert [row[:2] for row in rows] == [
        [outer.id, "completed"],
        [inner.id, "completed"],
        [failed, "failed"],
        [last.id, "running"],
    ]
    assert [row[4:] for row in rows] == [
        ["", '{"input_tokens":12}', "", "b"],
        ["", "", outer.id, "a"],
        ["ValueError: no such␊city ␛[31m", "", "", "a"],
        ["", "", "", "b"],
    ]
    assert all(row[3].endswith(" s") for row in rows)


def test_runs_of_one_context_as_json_are_what_the_library_returns(store: ChatStore, run: Run) -> None:
    history = store.history({"user": "u1"})
    with history.run(), store.history("other").run():
        pass
    lines = run("runs", "--key", "user=u1", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [one.model_dump(mode="json") for one in history.runs()]
    assert len(lines) == 1


def test_a_terminal_shows_the_id_whole_and_why_a_run_failed(
    store: ChatStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    failed = fail_in(store, "c")
    shown = run("runs").stdout
    assert failed in shown and "ValueError: no such␊city ␛[31m" in shown


@pytest.mark.parametrize("context", [[], ["second"]])
def test_a_run_is_cancelled_from_another_process(store: ChatStore, run: Run, context: list[str]) -> None:
    store.history("first").append_user_message("x")
    history = store.history("second")
    with pytest.raises(RunCancelled), history.run() as active:
        block = history.open_message()
        block.write("as far as it ")
        block.flush()
        result = run("cancel", active.id, *context)
        history.append_user_message("too late")
    assert (result.stdout, result.exit_code) == (f"{active.id} cancelled\n", 0)
    assert history.get_run(active.id).state == "cancelled"
    (kept,) = history.get_messages()
    assert (kept.state, kept.text) == ("cancelled", "as far as it ")
    assert run("cancel", active.id, *context).exit_code == 0


def test_a_run_that_ended_otherwise_cannot_be_cancelled(store: ChatStore, run: Run) -> None:
    failed = fail_in(store, "c")
    result = run("cancel", failed)
    assert (result.stdout, result.exit_code) == ("", 1)
    assert result.stderr == f"error: run {failed} had ended before: failed\n"
    assert store.history("c").get_run(failed).state == "failed"


@pytest.mark.parametrize("context", [[], ["c"]])
@pytest.mark.parametrize("name", ["nonsense", "01a1f88d-c4ca-71fd-a824-53beeb367043", "\x1b[2J", "-x"])
def test_a_run_that_is_not_there_is_an_error_of_one_line(
    store: ChatStore, run: Run, context: list[str], name: str
) -> None:
    store.history("c").append_user_message("x")
    result = run("cancel", "--", name, *context)
    assert (result.stdout, result.exit_code) == ("", 1)
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr
