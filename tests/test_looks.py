"""What a look at the database costs, counted: one statement where nothing moved, and a page for each that did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatstore import ChatStore
from chatstore.live.channel import Channel
from chatstore.live.follower import FEW, Follower
from chatstore.operations.log import LogPage
from chatstore.wakers.inotify import InotifyWaker


class Kept:
    """Channels that are kept up to date, and what each statement of the database was."""

    def __init__(self, names: list[str], head: int) -> None:
        self.kept = {name: Channel(name) for name in names}
        self.statements: list[str] = []
        self.added: list[tuple[str, int]] = []
        for channel in self.kept.values():
            channel.skip_to(head)

    def count(self) -> int:
        return len(self.kept)

    def channels(self) -> list[Channel]:
        return [*self.kept.values()]

    def channel(self, context_id: str) -> Channel | None:
        return self.kept.get(context_id)

    def stale(self) -> list[Channel]:
        return []

    def add(self, channel: Channel, page: LogPage) -> None:
        channel.fill(page.entries, page.position)
        self.added.append((channel.context_id, len(self.statements)))

    def tell(self) -> None:
        pass

    def look(self, follower: Follower) -> bool:
        self.statements.clear()
        self.added.clear()
        return follower.look()


@contextmanager
def following(store: ChatStore, names: list[str], head: int) -> Iterator[tuple[Kept, Follower]]:
    core = store._open()
    kept = Kept(names, head)
    with core.database.readers.connect() as conn:
        follower = Follower(core.database, conn, core.cursors, kept)
        connection: Any = conn.connection.dbapi_connection
        connection.set_trace_callback(kept.statements.append)
        yield kept, follower
        connection.set_trace_callback(None)


def test_a_commit_of_another_process_is_handed_over_after_one_statement(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("a").append_user_message("first")
        with following(store, ["a"], 1) as (kept, follower):
            assert not kept.look(follower)
            assert len(kept.statements) == 2
            store.history("a").append_user_message("second")
            assert kept.look(follower)
            assert kept.added == [("a", 1)]
            assert len(kept.statements) == 4  # with the version, whose store it is, and what came until then
            store.history("other").append_user_message("x")
            assert kept.look(follower)
            assert kept.added == []


def test_of_many_contexts_only_those_are_read_that_were_written_to(path: Path) -> None:
    names = [f"c{number}" for number in range(10 * FEW)]
    with ChatStore(path) as store:
        for name in names:
            store.history(name).append_user_message("first")
        with following(store, names, 1) as (kept, follower):
            store.history("c0").append_user_message("second")
            assert kept.look(follower)  # the first time it looks at them all
            assert not kept.look(follower)
            assert len(kept.statements) == 1
            for name in ("c3", "c5", "c3", "nobody's"):
                store.history(name).append_user_message("third")
            assert kept.look(follower)
            assert sorted(name for name, _ in kept.added) == ["c3", "c5"]
            assert len(kept.statements) == 5  # the version, whose store it is, what moved, and a page for each


def test_what_was_committed_before_the_first_look_is_read_however_many_contexts_are_followed(path: Path) -> None:
    names = [f"c{number}" for number in range(FEW + 1)]
    with ChatStore(path) as store:
        for name in names:
            store.history(name).append_user_message("first")
        store.history("c3").append_user_message("behind those who wait, before anything looks for them")
        with following(store, names, 1) as (kept, _):
            assert {name: channel.head for name, channel in kept.kept.items() if channel.head != 1} == {"c3": 2}


def test_what_this_process_committed_itself_is_not_read_again(path: Path) -> None:
    names = [f"c{number}" for number in range(10 * FEW)]
    with ChatStore(path) as store, following(store, names, 0) as (kept, follower):
        store.history("c0").append_user_message("first")
        kept.look(follower)
        store.history("c1").append_user_message("first")
        kept.kept["c1"].head = 1  # as a hand-over leaves it
        assert kept.look(follower)
        assert (kept.added, len(kept.statements)) == ([], 3)


def test_a_commit_that_is_long_in_coming_after_its_event_is_waited_for(tmp_path: Path) -> None:
    wal = tmp_path / "chat.db-wal"
    wal.write_bytes(b"")
    try:
        waker = InotifyWaker(wal)
    except (OSError, AttributeError):
        pytest.skip("no inotify here")
    answers = iter([False] * 60 + [True])
    try:
        wal.write_bytes(b"x")
        assert waker.wait(60, lambda: next(answers))
        waker.nudge()
        assert not waker.wait(60, lambda: False)
    finally:
        waker.close()
