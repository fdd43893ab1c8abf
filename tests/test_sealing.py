"""What is damaged is not sealed as right: a change of it is refused, and nothing is written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatstore import BlockDraft, ChatStore, History, Retain, StoreDamaged, Tag
from chatstore.operations import marking, running
from chatstore.schema import metadata

TAG = Tag(kind="topic", name="late")


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement).rowcount == 1
        conn.commit()


def dump(path: Path) -> dict[str, list[Any]]:
    """All that is stored, but for the beats of a lease, which go on."""
    with closing(sqlite3.connect(path)) as conn:
        tables = [name for name in metadata.tables if name != "leases"]
        return {name: sorted(conn.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}


def refused(path: Path, damage: str, work: Callable[[], object]) -> None:
    """The work is refused once there is damage, and writes nothing."""
    change(path, damage)
    before = dump(path)
    with pytest.raises(StoreDamaged, match="chatstore check --repair"):
        work()
    assert dump(path) == before


@pytest.mark.parametrize(
    "work",
    [
        lambda history, block: history.tag(block, TAG),
        lambda history, block: history.set_usage(block, {"input_tokens": 3}),
    ],
    ids=["tag", "usage"],
)
@pytest.mark.parametrize("tagged", [False, True])
def test_a_damaged_block_is_not_marked(path: Path, work: Callable[[History, Any], object], tagged: bool) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        block = history.append_user_message("Hello")
        if tagged:
            history.tag(block, Tag(kind="topic", name="early"))
        refused(path, "UPDATE blocks SET author = 'nobody'", lambda: work(history, block))
        assert {(one.index, one.table) for one in store.check().problems} == {(0, "blocks")}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blocks SET author = 'nobody' WHERE \"index\" = 1",
        "UPDATE changes SET text = 'Ha' WHERE type = 0 AND \"offset\" = 0",
        'DELETE FROM changes WHERE type = 0 AND "offset" = 2',
    ],
    ids=["its row", "a piece of its text", "a missing piece"],
)
def test_a_damaged_block_is_not_ended(path: Path, damage: str) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        history.append_user_message("Hello")
        answer = history.open_message()
        for text in ("Hi", ", t", "here"):
            answer.write(text)
            answer.flush()
        refused(path, damage, answer.close)
        assert 1 in {one.index for one in store.check().problems}


def test_a_run_is_ended_whole_or_not_at_all(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        run = history.run().__enter__()
        first, second = history.open_message(author="one"), history.open_message(author="two")
        for answer in (first, second):
            answer.write("so far")
            answer.flush()
        refused(path, "UPDATE blocks SET author = 'nobody' WHERE \"index\" = 1", lambda: history.cancel_run(run.id))
        assert [block.state for block in history.get_messages(states=["open"])] == ["open", "open"]


def test_a_damaged_run_is_not_ended(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        run = history.run().__enter__()
        refused(path, "UPDATE runs SET started_at = started_at + 1", lambda: history.cancel_run(run.id))


@pytest.mark.parametrize("column", ["created_at", "first_index"])
def test_a_damaged_history_is_not_tagged(path: Path, column: str) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("Hello")
        damage = f"UPDATE histories SET {column} = {column} + 1"
        refused(path, damage, lambda: store.history("c").tag_context(TAG))
        assert "histories" in {one.table for one in store.check().problems}


def test_a_damaged_history_is_not_given_keys(path: Path) -> None:
    with ChatStore(path) as store:
        keyed = store.history({"user": "u"})
        store.history(keyed.context_id).append_user_message("by its name")
        refused(path, "UPDATE histories SET created_at = 7", lambda: keyed.append_user_message("by its keys"))


def test_retention_leaves_a_damaged_history_as_it_is_and_goes_on(path: Path) -> None:
    with ChatStore(path, retain=Retain(blocks=1)) as store:
        for name in ("a", "b"):
            store.history(name).append([BlockDraft(text=str(number)) for number in range(3)])
        change(path, "UPDATE histories SET created_at = 7 WHERE context_id = 'a'")
        assert store.prune() == 2
        assert [one.count for one in store.contexts()] == [3, 1]
        assert [len(store.history(name).get_messages(kind="trace")) for name in ("a", "b")] == [3, 1]


def test_what_a_dead_process_left_damaged_stays_open_and_the_rest_is_ended(path: Path) -> None:
    code = """if True:
        import os, sys
        from chatstore import ChatStore
        store = ChatStore(sys.argv[1], durability="full")
        answers = [store.history(name).open_message() for name in "ab"]
        for answer in answers:
            answer.write("so far"), answer.flush()
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=60)
    change(path, "UPDATE blocks SET author = 'nobody' WHERE history_id = 1")
    with ChatStore(path) as store:
        states = {name: store.history(name).get_messages(kind="trace")[0].state for name in "ab"}
        assert states == {"a": "open", "b": "interrupted"}
        assert {(one.context_id, one.index) for one in store.check().problems} == {("a", 0)}


def test_an_erasure_needs_no_sound_row(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("Hello")
        change(path, "UPDATE histories SET created_at = 7")
        store.history("c").erase()
        assert store.check().problems == ()


def test_what_is_marked_and_ended_in_one_commit_is_sound(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        run = history.run().__enter__()
        answer = history.open_message()
        tags = json.dumps([TAG.model_dump()])
        errors = store._open().committer.run_all(
            [
                (partial(marking.tag_block, context=history._context, block_id=answer.block.id, added=tags), "c"),
                (partial(running.cancel_run, context=history._context, run_id=run.id), "c"),
            ]
        )
        assert errors == [None, None]
        [block] = history.get_messages(kind="trace")
        assert (block.state, block.tags) == ("cancelled", (TAG,))
        assert store.check().problems == ()
