"""A copy of a store has everything that the store has, and tells who comes from there where to go on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from comparing import assert_equal, rows_of
from stored import KINDS

from chatstore import (
    AsyncChatStore,
    ChatStore,
    CursorExpired,
    InvalidInput,
    OpenError,
    StoreDamaged,
    StoreNotFound,
    UsageError,
)
from chatstore.copying import CopyReport, copy
from chatstore.databases import locate
from chatstore.databases.inspectors import inspector

pytestmark = pytest.mark.slow

New = Callable[[str], str]
both_ways = pytest.mark.parametrize(("source_kind", "target_kind"), [(a, b) for a in KINDS for b in KINDS])
each_kind = pytest.mark.parametrize("kind", KINDS)


@both_ways
def test_a_copy_has_all_that_the_store_has(source_kind: str, target_kind: str, filled: New, new_place: New) -> None:
    source, target = filled(source_kind), new_place(target_kind)
    report = copy(source, target)
    places = report.places_kept
    assert assert_equal(source, target, places=places) == report.blocks
    assert (report.contexts, report.erased, report.interrupted, report.resumed) == (11, 1, 0, 0)
    with ChatStore(target) as store:
        assert report.identity == store.identity
        checked = store.check()
        assert not checked.problems
        assert (checked.blocks, checked.changes) == (report.blocks, report.changes - 1)  # of the erased one


@each_kind
def test_a_copy_goes_on_as_a_store_of_its_own(kind: str, filled: New, new_place: New) -> None:
    source, target = filled("file"), new_place(kind)
    copy(source, target)
    with ChatStore(source) as before, ChatStore(target) as store:
        with store.subscribe(after="now", timeout=1) as changes:
            for name in ("new", "newer", "context-4"):
                store.history(name).append_user_message("Hello?")
            assert [next(changes).context_id for _ in range(3)] == ["new", "newer", "context-4"]
        again = store.history("context-4").append_user_message("…", key="other")
        assert again.index == before.history("context-4").count() + 1
        with pytest.raises(Exception, match="erased"):
            store.history({"user": "u1", "channel": "web"}).append_user_message("me again")
        assert not store.check().problems


@both_ways
def test_who_comes_with_a_cursor_of_the_source_is_told_where_to_go_on(
    source_kind: str, target_kind: str, filled: New, new_place: New
) -> None:
    source, target = filled(source_kind), new_place(target_kind)
    with ChatStore(source) as store:
        history = store.history("context-4")
        cursor, rest = history.get_messages()[2].cursor, [block.id for block in history.get_messages()[3:]]
    copy(source, target)
    with ChatStore(target) as store:
        history = store.history("context-4")
        with pytest.raises(CursorExpired, match="copied from") as expired:
            history.get_messages(after=cursor)
        assert [block.id for block in history.get_messages(after=expired.value.start)] == rest
        with pytest.raises(CursorExpired) as expired:
            next(history.subscribe(after=cursor))
        with pytest.raises(CursorExpired) as expired:
            history.append_user_message("?", expect=cursor)
        with pytest.raises(InvalidInput, match="another store"):
            store.history("context-2").get_messages(after=cursor)


@each_kind
async def test_an_event_loop_is_told_the_same(kind: str, filled: New, new_place: New) -> None:
    source, target = filled("file"), new_place(kind)
    with ChatStore(source) as store:
        cursor = store.history("context-4").get_messages()[2].cursor
    copy(source, target)
    async with AsyncChatStore(target) as store:
        history = store.history("context-4")
        with pytest.raises(CursorExpired) as expired:
            await history.get_messages(after=cursor)
        assert (await history.get_messages(after=expired.value.start))[0].index == 3
        with pytest.raises(CursorExpired):
            await anext(history.subscribe(after=cursor))


def test_what_the_source_went_on_with_is_not_taken_for_what_the_copy_did(filled: New, new_place: New) -> None:
    source, target = filled("file"), new_place("file")
    copy(source, target)
    with ChatStore(source) as store:
        beyond = store.history("context-4").append_user_message("only in the source").cursor
        late = store.history("only there").append_user_message("?").cursor
    with ChatStore(target) as store:
        history = store.history("context-4")
        own = [history.append_user_message("only in the copy").id for _ in range(3)]
        with pytest.raises(CursorExpired, match="is not here") as expired:
            history.get_messages(after=beyond)
        assert [block.id for block in history.get_messages(after=expired.value.start)] == own
        with pytest.raises(CursorExpired) as expired:
            store.history("only there").get_messages(after=late)
        assert store.history("only there").get_messages(after=expired.value.start) == []


def test_who_follows_the_whole_store_goes_on_in_the_copy(filled: New, new_place: New) -> None:
    source, target = filled("file"), new_place("server")
    with ChatStore(source) as store, store.subscribe(follow=False) as changes:
        assert list(changes)
        cursor = changes.cursor
        store.history("context-4").append_user_message("behind the cursor")
    copy(source, target)
    with ChatStore(target) as store:
        with pytest.raises(CursorExpired) as expired:
            next(store.subscribe(after=cursor, follow=False))
        with store.subscribe(after=expired.value.start, follow=False) as changes:
            assert [change.block.text for change in changes] == ["behind the cursor"]


def test_a_cursor_is_known_after_two_copies(filled: New, new_place: New) -> None:
    first, second, third = filled("file"), new_place("server"), new_place("file")
    with ChatStore(first) as store:
        head = store.history("context-4").head()
    copy(first, second)
    copy(second, third)
    assert assert_equal(first, third)
    with ChatStore(third) as store, pytest.raises(CursorExpired) as expired:
        store.history("context-4").get_messages(after=head)
    assert str(expired.value.start).startswith(store_identity(third))


def store_identity(place: str) -> str:
    with ChatStore(place) as store:
        return store.identity


def test_a_log_that_is_ahead_of_the_server_is_numbered_anew(filled: New, new_place: New) -> None:
    source, between, target = filled("server"), new_place("file"), new_place("server")
    copy(source, between)
    with inspector(locate(between)) as looking, looking.transaction() as conn:  # as of a server with a longer life
        conn.exec_driver_sql("UPDATE changes SET id = id + (1 << 50)")
    with ChatStore(between) as store, store.subscribe(follow=False) as changes:
        list(changes)
        cursor = changes.cursor
    report = copy(between, target)
    assert not report.places_kept
    assert_equal(source, target, places=False)
    with ChatStore(target) as store:
        with pytest.raises(CursorExpired, match="the beginning") as expired:
            next(store.subscribe(after=cursor))
        with store.subscribe(after=expired.value.start, follow=False) as changes:
            assert list(changes)
        with store.subscribe(after="now", timeout=1) as changes:
            added = store.history("new").append_user_message("in order still")
            assert next(changes).block == added


@pytest.mark.slow
@both_ways
def test_a_copy_that_was_killed_goes_on_and_ends_equal(
    source_kind: str, target_kind: str, filled: New, new_place: New
) -> None:
    source, target = filled(source_kind), new_place(target_kind)
    assert _killed_half_way(source, target) == -signal.SIGKILL
    if target_kind == "file":
        assert not Path(target).exists()
    else:
        with pytest.raises(OpenError, match="run the same `chatstore copy` again"):
            ChatStore(target)
    with ChatStore(source) as store:  # what was copied already changes meanwhile, in every way there is
        store.history("context-0").append_user_message("meanwhile")
        store.history({"user": "u3", "channel": "web"}).erase()
        store.history("new").append_user_message("meanwhile")
    report = copy(source, target)
    assert report.resumed > 1
    assert assert_equal(source, target, places=report.places_kept) == report.blocks


def _killed_half_way(source: str, target: str) -> int:
    code = """
import os, signal, sys
from chatstore.copying import copy
from chatstore.operations.copying import histories
histories.UNIT = 20
def told(done, total):
    if done * 2 > total:
        os.kill(os.getpid(), signal.SIGKILL)
copy(*sys.argv[1:], progress=told)
"""
    return subprocess.run([sys.executable, "-c", code, source, target], timeout=60, check=False).returncode


def test_what_is_open_is_refused_or_ends_as_interrupted(new_place: New) -> None:
    source = new_place("file")
    with ChatStore(source) as store:
        history = store.history("c")
        with history.run() as run, history.open_message() as answer:
            answer.write("half of ")
            answer.flush()
            with pytest.raises(UsageError, match="1 runs and 1 blocks that are not ended"):
                copy(source, new_place("file"))
            targets = new_place("file"), new_place("server")
            for target in targets:
                assert copy(source, target, as_interrupted=True).interrupted == 1  # the run, and what is open of it
            answer.write("it")
    for target in targets:
        with ChatStore(target) as store:
            [block] = store.history("c").get_messages()
            assert (block.state, block.text) == ("interrupted", "half of ")
            assert store.history("c").get_run(run.id).state == "interrupted"
            assert not store.check().problems


def test_who_writes_meanwhile_is_not_in_the_copy_in_part(filled: New, new_place: New) -> None:
    source, target = filled("file"), new_place("server")
    before = rows_of(source)
    told: list[int] = []

    def write(done: int, total: int) -> None:
        with ChatStore(source) as store:
            store.history(f"while {len(told)}").append_user_message("meanwhile")
            store.history("context-10").append_user_message("meanwhile")
        told.append(done)

    copy(source, target, progress=write)
    assert told
    assert rows_of(target) == before


@pytest.mark.parametrize(("kind", "damage"), [("file", "blocks"), ("server", "chatstore.blocks")])
def test_what_is_damaged_is_not_copied(kind: str, damage: str, filled: New, new_place: New) -> None:
    source, target = filled(kind), new_place("file" if kind == "server" else "server")
    with inspector(locate(source)) as looking, looking.transaction() as conn:
        conn.exec_driver_sql(
            f"UPDATE {damage} SET text = 'other' WHERE history_id = 1 AND index = 1".replace("index", '"index"')
        )
    with pytest.raises(StoreDamaged, match=r"context-0.*block 1.*chatstore check"):
        copy(source, target)


def test_a_place_that_is_taken_is_left_as_it_is(filled: New, new_place: New) -> None:
    source, taken, server = filled("file"), filled("file"), filled("server")
    for target in (taken, server):
        before = rows_of(target)
        with pytest.raises(InvalidInput, match=r"left as it is|not empty"):
            copy(source, target)
        assert rows_of(target) == before
    with pytest.raises(InvalidInput, match="itself"):
        copy(source, source)
    with pytest.raises(StoreNotFound, match="make the directory first"):
        copy(source, f"{source}.d/copy.db")
    for half in (new_place("server"), new_place("file")):
        assert _killed_half_way(source, half) == -signal.SIGKILL
        with pytest.raises(InvalidInput, match=r"another store.*remove the (directory|schema)"):
            copy(taken, half)


@each_kind
def test_two_processes_do_not_make_the_same_copy(kind: str, filled: New, new_place: New) -> None:
    source, target = filled("file"), new_place(kind)
    seen: list[Exception] = []

    def again(done: int, total: int) -> None:
        if not seen:
            with pytest.raises(Exception, match="another process is making the copy") as busy:
                copy(source, target)
            seen.append(busy.value)

    copy(source, target, progress=again)
    assert seen
    assert_equal(source, target)


def test_a_server_without_its_driver_says_what_to_install(filled: New, tmp_path: Path) -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from chatstore.cli import main
main()
"""
    url, source = "postgresql://nowhere/database", filled("file")
    commands = (["copy", source, url], ["migrate", url], ["doctor", url], ["check", url], ["info", "--store", url])
    for command in commands:
        run = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=60)
        assert run.returncode == 1
        assert "pip install 'chatstore[postgres]'" in run.stderr + run.stdout
        assert "Traceback" not in run.stderr


def test_a_report_has_nothing_secret_in_it(filled: New, new_place: New) -> None:
    url = new_place("server")
    secret = url.replace("postgresql://postgres:@", "postgresql://postgres:secret@").replace(
        "postgresql://postgres@", "postgresql://postgres:secret@"
    )
    assert "secret" in secret
    report: CopyReport = copy(filled("file"), secret)
    assert "secret" not in report.model_dump_json()
