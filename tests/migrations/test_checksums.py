"""A store of format 1, which had fewer checksums, gets them: what was sound is, what was damaged is found as before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chatstore import ChatStore, Retain, Tag
from chatstore.databases import open_database
from chatstore.databases.inspecting import check
from chatstore.migrate import migrate
from chatstore.processes import machine
from chatstore.schema import SCHEMA_VERSION

THEIRS = "86b6a75e-41eb-4a83-99f5-7d744e2ec6de pid:[4026531836]"
FORMAT_1 = (Path(__file__).parent / "format_1.sql").read_text(encoding="utf-8").replace(THEIRS, machine())
"""A store that a process of this machine left open which died: with runs and tags, text that grew, what was erased, and
a run whose start retention has removed."""


@pytest.fixture
def path(make_database: Callable[..., Path]) -> Path:
    return make_database(version=1, script=FORMAT_1)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement).rowcount == 1
        conn.commit()


def problems(path: Path) -> list[tuple[str | None, int | None, str]]:
    """Not by a ChatStore, which would end what is open."""
    with closing(open_database(path, create=False, busy_timeout=30)) as database:
        return [(one.context_id, one.index, one.table) for one in check(database).problems]


def test_a_sound_store_is_sound_and_goes_on(path: Path) -> None:
    assert migrate(path) == (1, SCHEMA_VERSION)
    assert problems(path) == []
    with ChatStore(path, retain=Retain(blocks=5)) as store:
        history = store.history("long run")
        assert [block.state for block in history.get_messages(kind="trace", last=1)] == ["interrupted"]
        history.tag(history.get_messages(kind="trace", last=2)[0], Tag(kind="k", name="n"))
        history.tag_context(Tag(kind="k", name="n"))
        history.append_user_message("after it", key="k")
        assert store.prune()
        assert store.check().problems == ()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE blocks SET author = 'x' WHERE history_id = 1 AND \"index\" = 4", ("context 0", 4, "blocks")),
        ("UPDATE blocks SET author = 'x' WHERE state = 'open'", ("long run", 12, "blocks")),
        ("UPDATE changes SET text = 'x' WHERE type = 0 AND history_id = 7", ("long run", 12, "changes")),
        ("UPDATE runs SET started_at = 7 WHERE history_id = 1", ("context 0", None, "runs")),
    ],
)
def test_what_was_damaged_is_not_sealed(path: Path, statement: str, found: tuple[str, int | None, str]) -> None:
    change(path, statement)
    migrate(path)
    assert found in problems(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE histories SET created_at = created_at + 1 WHERE id = 1",
        "UPDATE append_keys SET digest = zeroblob(16) WHERE history_id = 1",
        "UPDATE leases SET pid = pid + 1",
        "UPDATE store_info SET value = 'x' WHERE name = 'created_at'",
        "UPDATE changes SET checksum = checksum + 1 WHERE history_id = 1 AND sequence = 13",
        "UPDATE runs SET parent_run_id = 'x' WHERE history_id = 7",
    ],
)
def test_what_had_no_checksum_has_one(path: Path, statement: str) -> None:
    migrate(path)
    change(path, statement)
    assert problems(path)
