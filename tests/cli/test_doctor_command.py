"""`chatstore doctor`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from chatstore import ChatStore
from chatstore.databases import diagnosis

NAMES = {
    *("file system", "SQLite", "disk space", "clock", "open files", "file access", "directory access", "store"),
    *("journal", "pages", "log", "last change", "leases", "durability", "wake-ups"),
}


def findings(result) -> dict[str, dict]:
    return {one["name"]: one for one in map(json.loads, result.stdout.splitlines())}


def test_a_sound_store_has_nothing_that_is_a_problem(store: ChatStore, run) -> None:
    store.history("c").append_user_message("Hi")
    result = run("doctor", "--json")
    found = findings(result)
    assert found.keys() >= NAMES
    assert result.exit_code == 0, found
    assert not [one for one in found.values() if one["status"] == "problem"]
    assert all(one["advice"] for one in found.values() if one["status"] != "good")
    assert "sees commits of others after" in found["wake-ups"]["found"]


def test_people_read_one_line_for_each_and_what_to_do(store: ChatStore, run) -> None:
    result = run("doctor", store.path)
    lines = result.stdout.splitlines()
    assert any(line.startswith("good    store") and store.identity in line for line in lines)
    assert sqlite3.sqlite_version in result.stdout


def test_what_anyone_can_change_is_a_problem(store: ChatStore, run) -> None:
    store.path.chmod(0o666)
    result = run("doctor", "--json")
    assert result.exit_code == 1
    access = findings(result)["file access"]
    assert access["status"] == "problem" and "chmod" in access["advice"]


def test_a_journal_that_somebody_changed_is_a_problem(path: Path) -> None:
    ChatStore(path).close()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
    found = {finding.name: finding for finding in diagnosis.file(path)}
    assert found["journal"].status == "problem" and found["journal"].found == "delete"


def test_free_pages_are_worth_a_note(store: ChatStore, run) -> None:
    store.history("c").append_user_message("x" * 3_000_000)
    with closing(sqlite3.connect(store.path)) as conn:
        conn.execute("CREATE TABLE other AS SELECT * FROM blocks")
        conn.execute("DROP TABLE other")
        conn.commit()
    pages = findings(run("doctor", "--json"))["pages"]
    assert pages["status"] == "note" and "vacuum" in pages["advice"]


def test_processes_that_hold_something_open_are_named(store: ChatStore, run) -> None:
    with store.history("c").open_message() as answer:
        answer.write("and")
        answer.flush()
        found = findings(run("doctor", "--json"))["leases"]["found"]
    assert found.startswith("1 open blocks; process ") and found.endswith(" lives")


def test_a_store_that_cannot_be_opened_is_a_problem(path: Path, run) -> None:
    path.write_text("no store")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    assert "not a chatstore file" in findings(result)["store"]["found"]
    assert path.read_text() == "no store"


def test_a_store_that_is_not_there_is_not_made(path: Path, run) -> None:
    assert run("doctor").exit_code == 1
    assert not [*path.parent.iterdir()]


def test_a_place_that_cannot_be_looked_at_is_a_finding(path: Path, run) -> None:
    path.write_text("a file, where a directory was meant")
    result = run("doctor", path / "chat.db", "--json")
    assert result.exit_code == 1
    assert findings(result)["store"]["status"] == "problem"
    assert findings(result)["store"]["advice"]
