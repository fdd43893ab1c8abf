"""`chatstore backup`."""

import json
from pathlib import Path

import pytest

from chatstore import ChatStore


@pytest.mark.parametrize(
    "arguments",
    [
        ["chatstore.db", "copy.db"],
        ["copy.db"],
        ["--store", "chatstore.db", "copy.db"],
        ["sqlite:///chatstore.db", "copy.db"],
    ],
)
def test_it_copies_the_store_and_says_what_it_holds(store: ChatStore, run, arguments: list[str]) -> None:
    store.history("c").append_user_message("Hi")
    result = run("backup", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    with ChatStore("copy.db", create=False) as copy:
        assert copy.history("c").get_messages()[0].text == "Hi"
        size = Path("copy.db").stat().st_size
        assert f"copy.db: 1 contexts, 1 blocks, {size:,} bytes; its identity is {copy.identity}" in result.stdout


def test_for_programs_it_says_the_same_in_json(store: ChatStore, run) -> None:
    said = json.loads(run("backup", "copy.db", "--json").stdout)
    assert said.keys() == {"path", "identity", "contexts", "blocks", "bytes"}


def test_a_file_that_is_there_is_overwritten_only_when_told(store: ChatStore, run) -> None:
    Path("copy.db").write_text("mine")
    refused = run("backup", "copy.db")
    assert refused.exit_code == 2
    assert "already" in refused.stderr and Path("copy.db").read_text() == "mine"
    assert run("backup", "copy.db", "--overwrite").exit_code == 0


def test_a_store_that_is_not_there_is_not_made(path: Path, run) -> None:
    result = run("backup", "nothing.db", "copy.db")
    assert result.exit_code == 1
    assert not [*path.parent.iterdir()]


def test_more_than_two_names_are_too_many(store: ChatStore, run) -> None:
    assert run("backup", "a", "b", "c").exit_code == 2
