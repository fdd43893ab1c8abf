"""`chatstore check`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatstore import ChatStore


@pytest.fixture
def damaged(store: ChatStore) -> Path:
    """A store of two blocks, the second of which is not what was written."""
    store.history("c").append_user_message("first")
    store.history("c").append_assistant_message("second")
    with closing(sqlite3.connect(store.path)) as conn:
        conn.execute("UPDATE blocks SET text = 'other' WHERE \"index\" = 1")
        conn.commit()
    return store.path


def test_a_sound_store_is_said_to_be(store: ChatStore, run) -> None:
    store.history("c").append_user_message("Hi")
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "checked 1 contexts, 1 blocks, 1 changes: all is as it was written\n"


def test_what_is_damaged_is_named_and_the_exit_code_says_so(damaged: Path, run) -> None:
    result = run("check", damaged)
    assert result.exit_code == 1
    first, last = result.stdout.splitlines()
    assert first == "context 'c', block 1: its row is not what entry 2 of the log says it was (blocks)"
    assert last == "checked 1 contexts, 2 blocks, 2 changes: 1 problems"


def test_for_programs_it_says_the_same_in_json(damaged: Path, run) -> None:
    result = run("check", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert {name: said[name] for name in ("histories", "blocks", "changes")} == {
        "histories": 1,
        "blocks": 2,
        "changes": 2,
    }
    [problem] = said["problems"]
    assert (problem["context_id"], problem["index"], problem["table"]) == ("c", 1, "blocks")


def test_a_repair_says_where_everything_is_and_what_was_done(damaged: Path, run) -> None:
    result = run("check", "--repair")
    assert result.exit_code == 1, result.stdout
    lines = result.stdout.splitlines()
    kept, aside = (line.split(": ", 1)[1] for line in lines[:2])
    with ChatStore(kept, create=False) as backup:
        assert backup.history("c").get_messages()[1].text == "other"
    assert any(json.loads(line)["row"].get("text") == "other" for line in Path(aside).read_text().splitlines())
    assert "context 'c', block 1: is marked as damaged" in lines
    assert lines[-1].endswith(": sound again, but 1 things could not be restored; they are named above")
    later = run("check")
    assert later.exit_code == 0
    assert later.stdout.splitlines()[0] == "context 'c', block 1: was marked as damaged by a repair"
    assert later.stdout.endswith(": all is as it was written, but for 1 blocks that a repair could not restore\n")
    assert json.loads(run("check", "--json").stdout)["marked"] == ["context 'c', block 1"]


def test_a_repair_that_restores_everything_says_so(store: ChatStore, run) -> None:
    store.history("c").append_user_message("first")
    store.close()
    with closing(sqlite3.connect(store.path)) as conn:
        conn.execute("DELETE FROM tags")
        conn.execute("UPDATE histories SET count = 5")
        conn.commit()
    result = run("check", "--repair")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.endswith(": all is as it was written\n")


def test_a_repair_for_programs(damaged: Path, run) -> None:
    said = json.loads(run("check", "--repair", "--json").stdout)
    assert said.keys() == {"backup", "aside", "done", "after", "lost"}
    assert said["after"]["problems"] == [] and said["lost"] == ["context 'c', block 1: is marked as damaged"]


def test_a_repair_of_a_sound_store_does_nothing(store: ChatStore, run) -> None:
    store.history("c").append_user_message("Hi")
    there = {*store.path.parent.iterdir()}
    result = run("check", "--repair")
    assert result.exit_code == 0
    assert result.stdout.endswith("all is as it was written\n")
    assert {*store.path.parent.iterdir()} == there


def test_a_store_that_is_not_there_is_not_made(path: Path, run) -> None:
    for arguments in (["check"], ["check", "--repair"]):
        assert run(*arguments).exit_code == 1
    assert not [*path.parent.iterdir()]
