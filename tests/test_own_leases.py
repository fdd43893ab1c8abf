"""The lease of a process: taken, renewed, given back; and writes that wait for another process."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import pytest
from held import locked, until

from chatstore import AsyncChatStore, ChatStore
from chatstore.databases.files import StoreFiles
from chatstore.operations import leases, running

pytestmark = pytest.mark.slow


def test_a_store_that_closes_gives_its_lease_back_and_has_nothing_to_report(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def leases() -> list[tuple[int]]:
        with closing(sqlite3.connect(path)) as conn:
            return conn.execute("SELECT pid FROM leases").fetchall()

    with ChatStore(path) as store:
        left = [store.history(name).run().__enter__() for name in "ab"]
        opened = store.history("c").open_message()
        store.history("d").open_message().close()
        assert len(leases()) == 1
    assert (leases(), caplog.messages) == ([], [])
    del left, opened


def test_who_holds_no_lease_renews_none(store: ChatStore, caplog: pytest.LogCaptureFixture) -> None:
    store._open().lease._renew()
    assert caplog.messages == []
    with store.history("c").open_message():
        [before] = store._read(leases.all_leases)
        store._open().lease._renew()
        [lease] = store._read(leases.all_leases)
    assert (lease.id, lease.beats > before.beats, caplog.messages) == (before.id, True, [])


def test_a_lease_is_as_long_as_was_asked_for_and_renewed_by_itself(path: Path) -> None:
    with ChatStore(path, lease=2) as store, store.history("c").open_message():
        [taken] = store._read(leases.all_leases)
        assert taken.seconds == 2
        until(lambda: store._read(leases.all_leases)[0].beats >= taken.beats + 3)


def test_all_that_a_lease_holds_is_ended_and_counted_however_many_histories_it_is_in(path: Path) -> None:
    with ChatStore(path) as store:
        core, histories = store._open(), [store.history(str(number)) for number in range(running.INTERRUPTED + 1)]
        blocks = [history.open_message() for history in histories[-2:]]
        runs = [history.run().__enter__() for history in histories]
        [lease] = store._read(leases.all_leases)
        assert leases.take_away(core.committer.run, lease.id, lease.beats + 1) == 0, "it was renewed since"
        assert leases.take_away(core.committer.run, lease.id, lease.beats) == len(runs) + len(blocks)
        assert {run.state for history in histories for run in history.runs()} == {"interrupted"}
        assert store._read(leases.all_leases) == []


def test_a_lease_taken_in_a_commit_that_a_signal_comes_behind_is_held(store: ChatStore) -> None:
    history = store.history("c")
    history.append_user_message("makes the history")
    behind = StoreFiles.check_after_commit.__code__

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is behind:
            sys.settrace(None)
            raise KeyboardInterrupt

    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            history.open_message()
    finally:
        sys.settrace(None)
    [taken] = store._read(leases.all_leases)
    assert store._open().lease.id == taken.id
    with history.open_message() as writer:
        writer.write("beside it")
    assert [lease.id for lease in store._read(leases.all_leases)] == [taken.id]


def test_a_lease_that_is_taken_while_the_last_one_is_found_gone_is_held(store: ChatStore) -> None:
    held = store._open().lease
    adopting: list[threading.Thread] = []

    class Gone(int):
        """The number of a lease beside which another is adopted as soon as it is looked at."""

        def __eq__(self, other: object) -> bool:
            adopting.append(threading.Thread(target=held._adopt, args=(2,)))
            adopting[0].start()
            adopting[0].join(0.2)  # as long as it takes, unless it has to wait for this very look
            return super().__eq__(other)

        __hash__ = int.__hash__

    held.id = Gone(1)
    held._renew()
    adopting[0].join(20)
    assert (held.id, len(adopting)) == (2, 1)
    held.id = None


async def test_a_loop_goes_on_while_what_it_wrote_waits_for_another_process(path: Path) -> None:
    async with AsyncChatStore(path, durability="token", busy_timeout=5) as store:
        history = store.history("c")
        await history.append_user_message("makes the history")
        with locked(path):
            waiting = asyncio.create_task(history.append_user_message("x"))
            for _ in range(10):  # so often the loop comes round; were the lock waited for on it, the append would fail
                await asyncio.sleep(0.001)
            assert not waiting.done()
        assert (await waiting).index == 1


HOLDER = """
import sys
from chatstore import ChatStore

with ChatStore(sys.argv[1], lease=5) as store, store.history("c").run():
    print("running", flush=True)
    sys.stdin.readline()
    store.history("c").append_status_message("done")
"""


@contextmanager
def followed_holder(path: Path) -> Iterator[tuple[subprocess.Popen[str], ChatStore]]:
    """Another process with a run under a lease of five seconds, and a store that watches over it."""
    given = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with given as holder, ChatStore(path) as store, store.history("c").subscribe() as following:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "running\n"
        thread = threading.Thread(target=lambda: [*following], daemon=True)
        thread.start()
        until(lambda: len(store._open()._watch._seen) == 1)
        try:
            yield holder, store
        finally:
            holder.send_signal(signal.SIGCONT)
            if holder.poll() is None:
                holder.communicate("go on\n", timeout=20)
            following.close()
            thread.join(20)


def watched_for(store: ChatStore, seconds: float) -> None:
    """Waits until the store has watched over the leases of others for so long."""
    watch, began = store._open()._watch, time.monotonic()
    until(lambda: (watch._last_look or 0.0) > began + seconds)


def test_who_cannot_renew_because_another_keeps_all_from_writing_is_not_taken_for_dead(path: Path) -> None:
    with followed_holder(path) as (holder, store):
        with locked(path):
            watched_for(store, 7)
        watched_for(store, 5)
        assert store.history("c").runs()[0].state == "running"
        holder.communicate("go on\n", timeout=20)
        assert (holder.wait(20), store.history("c").runs()[0].state) == (0, "completed")


def test_in_a_store_that_nobody_writes_to_a_holder_that_is_not_seen_ends_after_its_lease(path: Path) -> None:
    with followed_holder(path) as (holder, store):
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            # As a backup has it, that is opened while the holder of the original lives, and renews there.
            conn.execute("BEGIN IMMEDIATE")  # or else it might be stopped while it has the lock
            holder.send_signal(signal.SIGSTOP)
            conn.execute("UPDATE leases SET machine = 'elsewhere'")
            conn.execute("COMMIT")
        until(lambda: store.history("c").runs()[0].state == "interrupted")
