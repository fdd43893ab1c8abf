"""Repairs: what can be proved is put back, the rest is marked, and nothing else is touched or done in silence."""

from __future__ import annotations

import json
import random
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from data_support import report
from flipping import KEPT_BY_AN_INDEX, Flipper, fill, fill_all

from chatstore import BlockDraft, BlockUpdated, ChatStore, Retain, RunEnded, Tag
from chatstore.databases.repairing import repair_store
from chatstore.operations.integrity.repairing import MARKER
from chatstore.operations.integrity.repairing_bytes import LOST


def contents(path: Path) -> dict[tuple[str, int], dict]:
    with ChatStore(path) as store:
        return {
            (one.context_id, block.index): block.model_dump(exclude={"cursor"})
            for one in store.contexts()
            for block in store.history(one.context_id).get_messages()
        }


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement, values).rowcount == 1
        conn.commit()


def rows(path: Path, table: str) -> list:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "chatstore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def check(path: Path) -> list:
    with ChatStore(path) as store:
        return [*store.check().problems]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flips", [40, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_after_any_turned_bit_the_store_is_sound_again_and_sound_blocks_are_as_they_were(
    path: Path, flips: int
) -> None:
    fill(path)
    original, rng, counts = contents(path), random.Random(flips), Counter()
    for number in range(flips):
        with closing(Flipper(path, flips * 1_000 + number)) as flipper:
            flip = flipper.flip(rng.choice(flipper.tables))
        done = repair_store(path)
        assert done.after.problems == (), (flip, done.done)
        by_index = (flip.table, flip.column) == KEPT_BY_AN_INDEX  # no row is changed where an index is made anew
        unopened = flip.before.get("name") == b"identity"  # then there is no backup, either
        assert done.done and (unopened or (done.backup and (done.aside or by_index))), flip
        named = any(flip.context_id in line for line in done.done) if flip.context_id else True
        assert named or by_index or flip.table == "blobs", (flip, done.done)
        now = contents(path)
        assert now.keys() == original.keys(), flip
        touched = {key for key in now if now[key] != original[key]}
        assert {index for _, index in touched} <= flip.blocks, (flip, done.done)
        counts["put back"] += not touched
        original = now
        for kept in filter(None, (done.backup, done.aside)):
            Path(kept).unlink()
    report(f"repairs: {flips} bits, {counts['put back']} put back as they were")
    assert counts["put back"] >= flips * 0.95


def test_a_block_that_cannot_be_proved_is_marked_and_its_row_is_kept_aside(path: Path) -> None:
    fill(path)
    before = contents(path)
    change(path, "UPDATE blocks SET text = 'something else' WHERE history_id = 1 AND \"index\" = 4")
    with ChatStore(path) as store, store.history("context 0").subscribe(after="now", timeout=10) as changes:
        done = repair_store(path)
        told = next(iter(changes))
    assert isinstance(told, BlockUpdated) and (told.index, told.block.text) == (4, MARKER)
    after = contents(path)
    marked = after.pop(("context 0", 4))
    assert marked["text"] == MARKER
    assert [(tag["kind"], tag["name"]) for tag in marked["tags"]] == [("chatstore", "damaged")]
    lost = before.pop(("context 0", 4))
    kept = ("id", "type", "role", "author", "run_id", "parent_id", "data", "state", "created_at")
    assert {name: marked[name] for name in kept} == {name: lost[name] for name in kept}
    assert after == before
    rows = [json.loads(line) for line in Path(done.aside).read_text().splitlines()]
    assert any(row["table"] == "blocks" and row["row"]["text"] == "something else" for row in rows)
    assert stat.S_IMODE(Path(done.aside).stat().st_mode) == 0o600
    assert any("block 4: is marked as damaged" in line for line in done.done)
    assert done.after.problems == () == tuple(check(path))


def test_a_block_whose_row_is_gone_is_made_anew_in_its_place(path: Path) -> None:
    fill(path)
    before = contents(path)
    change(path, 'DELETE FROM blocks WHERE history_id = 2 AND "index" = 2')
    done = repair_store(path)
    assert done.after.problems == ()
    after = contents(path)
    key = next(key for key in before if before[key] != after[key])
    assert key[1] == 2 and (after[key]["type"], after[key]["text"], after[key]["state"]) == ("error", MARKER, "closed")
    assert after.keys() == before.keys()


def test_a_lost_entry_of_the_log_is_stood_for(path: Path) -> None:
    fill(path)
    before = contents(path)
    change(path, "DELETE FROM changes WHERE history_id = 3 AND sequence = 2")
    done = repair_store(path)
    assert done.after.problems == ()
    assert contents(path).keys() == before.keys()


def test_an_entry_far_behind_the_end_of_the_log_is_set_aside(path: Path) -> None:
    fill(path)
    before = contents(path)
    change(path, "UPDATE changes SET sequence = 1 << 46, checksum = 7 WHERE history_id = 3 AND sequence = 3")
    done = repair_store(path)
    assert done.after.problems == ()
    assert contents(path).keys() == before.keys()


@pytest.mark.slow
def test_a_log_of_which_too_much_is_lost_is_left_as_it_is_and_said_so(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append([BlockDraft(text=str(number)) for number in range(2_500)])
    before = contents(path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("DELETE FROM changes WHERE sequence BETWEEN 100 AND 2400")
        conn.commit()
    done = repair_store(path)
    assert any("too many to stand for" in line for line in done.done)
    assert done.after.problems and contents(path) == before


def test_lost_bytes_are_said_to_be_lost(path: Path) -> None:
    fill(path, contexts=1)
    change(path, "UPDATE blobs SET content = zeroblob(300)")
    done = repair_store(path)
    assert done.after.problems == ()
    [part] = [part for block in contents(path).values() for part in block["parts"]]
    assert (part["type"], part["text"]) == ("text", LOST)


def test_bytes_that_no_block_holds_any_more_are_set_aside(path: Path) -> None:
    fill(path, contexts=1)
    change(path, "UPDATE blocks SET parts = '[]' WHERE parts IS NOT NULL")
    done = repair_store(path)
    assert done.after.problems == ()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM blobs").fetchall() == [(0,)]
    rows = [json.loads(line) for line in Path(done.aside).read_text().splitlines()]
    assert [len(row["row"]["content"]) for row in rows if row["table"] == "blobs"] == [600]


def test_counters_and_what_finds_blocks_are_made_anew(path: Path) -> None:
    fill(path)
    before = contents(path)
    change(path, "UPDATE histories SET head = 7, count = 1, last_user = NULL WHERE id = 1")
    change(path, 'UPDATE blocks SET views = 0, speaker = 9 WHERE history_id = 1 AND "index" = 0')
    change(path, "DELETE FROM tags WHERE history_id = 1 AND block_index = 0 AND kind = 'seen'")
    change(path, "DELETE FROM context_keys WHERE history_id = 2 AND name = 'user'")
    done = repair_store(path)
    assert done.after.problems == ()
    assert contents(path) == before
    with ChatStore(path) as store:
        assert len(store.history("context 0").get_messages(tags=[("seen", "yes")])) == 1
        assert len(store.contexts(keys={"user": "u1"})) == 1


@pytest.mark.slow
@pytest.mark.parametrize("column", ["first", "first_index"])
@pytest.mark.parametrize("bit", [0, 1, 3, 20])
@pytest.mark.parametrize("retained", [None, 3])
def test_a_damaged_start_of_a_history_costs_no_block(path: Path, column: str, bit: int, retained: int | None) -> None:
    fill(path)
    if retained:
        with ChatStore(path, retain=Retain(blocks=retained)) as store:
            assert store.prune()
    before = contents(path)
    mask = 1 << bit
    change(path, f"UPDATE histories SET {column} = ({column} | {mask}) - ({column} & {mask}) WHERE id = 1")
    done = repair_store(path)
    assert done.done and done.after.problems == (), done.done
    assert contents(path) == before


@pytest.mark.slow
@pytest.mark.parametrize("column", ["context_id", "context_keys", "tags", "created_at", "first", "checksum", "id"])
def test_a_bit_of_a_historys_own_row_is_turned_back(path: Path, column: str) -> None:
    fill(path)
    before = rows(path, "histories")
    with closing(Flipper(path, 1)) as flipper:
        flip = flipper.flip("histories", column)
    assert rows(path, "histories") != before
    command = run("check", "--repair", path)
    assert command.returncode == 0, command.stderr
    assert flip.context_id is not None and flip.context_id in command.stdout
    assert rows(path, "histories") == before
    assert check(path) == []


def test_tags_and_keys_that_read_well_are_not_trusted_when_the_checksum_says_otherwise(path: Path) -> None:
    fill(path)
    other = '[{"kind":"list","name":"shelf 1","value":"of another"}]'
    change(path, "UPDATE histories SET tags = ? WHERE id = 2", other)
    change(path, 'UPDATE histories SET context_keys = \'{"user":"u9"}\' WHERE id = 4')
    done = repair_store(path)
    assert done.after.problems == ()
    with ChatStore(path) as store:
        by_number = {one.keys["user"]: one for one in store.contexts() if one.keys}
        assert [tag.value for tag in by_number["u1"].tags] == [None]
        assert by_number["u3"].keys == {"user": "u3", "channel": "web"}
    kept = [json.loads(line) for line in Path(done.aside).read_text().splitlines()]
    assert other in [row["row"]["tags"] for row in kept if row["table"] == "histories"]


def test_a_row_of_a_history_that_is_lost_is_made_anew_and_what_is_lost_is_said(path: Path) -> None:
    fill(path)
    with ChatStore(path) as store:
        store.history("context 0").tag_context(Tag(kind="mood", name="good", value=7))
    before = contents(path)
    change(path, "UPDATE histories SET created_at = 7, tags = '[]', settled_at = 9, first = 3 WHERE id = 1")
    done = repair_store(path)
    assert done.after.problems == () and contents(path) == before
    assert any("context 0" in line and "made anew" in line and "tags are lost" in line for line in done.done)
    with ChatStore(path) as store:
        [context] = [one for one in store.contexts() if one.context_id == "context 0"]
        kinds = [(tag.kind, tag.name, tag.value) for tag in context.tags]
        assert kinds == [("list", "shelf 0", None), ("mood", "good", None)]
        assert context.created_at == store.history("context 0").get_messages(kind="trace")[0].created_at


def test_an_append_key_that_cannot_be_proved_is_forgotten(path: Path) -> None:
    fill(path)
    change(path, "UPDATE append_keys SET digest = zeroblob(16), count = 2 WHERE history_id = 1")
    done = repair_store(path)
    assert done.after.problems == ()
    assert any("context 0" in line and "'key 0' is forgotten" in line for line in done.done)


def test_what_is_left_open_after_a_repair_is_ended_like_anything_a_dead_process_left(path: Path) -> None:
    fill_all(path)
    change(path, "UPDATE leases SET machine = 'another', seconds = 9")
    assert repair_store(path).after.problems == ()
    with ChatStore(path) as store, store.history("left open").subscribe(timeout=20) as changes:
        assert next(change.run.state for change in changes if isinstance(change, RunEnded)) == "interrupted"
        assert store.check().problems == ()


def test_the_backup_is_the_store_as_it_was(path: Path) -> None:
    fill(path)
    change(path, "UPDATE blocks SET text = 'something else' WHERE history_id = 1 AND \"index\" = 4")
    problems = check(path)
    done = repair_store(path)
    assert check(Path(done.backup)) == problems != []


def test_a_sound_store_is_left_alone(path: Path) -> None:
    fill(path)
    there = {*path.parent.iterdir()}
    done = repair_store(path)
    assert (done.backup, done.aside, done.done, done.after.problems) == (None, None, (), ())
    assert {*path.parent.iterdir()} == there
