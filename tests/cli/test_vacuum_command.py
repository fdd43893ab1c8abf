"""`chatstore vacuum`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from chatstore import ChatStore


def fill_and_free(path: Path) -> int:
    """Leaves free pages in the store's file; its size."""
    with ChatStore(path) as store:
        for number in range(40):
            store.history("c").append_user_message("x" * 20_000, key=f"key {number}")
    with closing(sqlite3.connect(path)) as conn:  # in a way of its own, so that nothing gives them back at once
        conn.execute("CREATE TABLE other AS SELECT * FROM blocks")
        conn.execute("DROP TABLE other")
        conn.commit()
    return path.stat().st_size


def test_the_file_gets_shorter_and_nothing_else_changes(path: Path, run) -> None:
    before = fill_and_free(path)
    result = run("vacuum", path)
    assert (result.exit_code, result.stderr) == (0, "")
    after = path.stat().st_size
    assert result.stdout == f"{before:,} bytes before, {after:,} bytes now\n"
    assert after < 0.6 * before
    with ChatStore(path) as store:
        assert store.history("c").count() == 40
        assert store.check().problems == ()


def test_others_go_on_writing_meanwhile(path: Path, run) -> None:
    before = fill_and_free(path)
    with ChatStore(path) as store:
        said = json.loads(run("vacuum", path, "--json").stdout)
        store.history("c").append_user_message("and on")
        assert store.history("c").count() == 41
    assert said["before"] == before and said["after"] < 0.6 * before
    assert (said["free"], said["held"]) == (0, False)


def test_a_second_time_there_is_nothing_to_give_back(path: Path, run) -> None:
    fill_and_free(path)
    run("vacuum")
    said = json.loads(run("vacuum", "--json").stdout)
    assert said["before"] == said["after"]


def test_a_store_that_is_not_there_is_not_made(path: Path, run) -> None:
    assert run("vacuum", "nothing.db").exit_code == 1
    assert not [*path.parent.iterdir()]
