"""Processes that stand still, and clocks that jump: the living go on, and who was given up is refused."""

from __future__ import annotations

import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from data_support import report

from chatstore import ChatStore, RunEnded
from growing.processes import Process

pytestmark = [pytest.mark.slow, pytest.mark.timed]

CONTEXT = "paused"
LEASE = 1
SECONDS = 40
HOUR, YEAR = 3_600, 365 * 86_400


def do(worker: Process, *command: object) -> Any:
    worker.tell(command)
    return worker.answer()


def wait_for_end(store: ChatStore, run_id: str) -> str:
    """Follows a run to its end; how it ended."""
    changes = [*store.history(CONTEXT).subscribe(run=run_id, timeout=SECONDS)]
    assert isinstance(changes[-1], RunEnded), "the run did not end by the deadline"
    return changes[-1].run.state


def given_up(path: Path, worker: Process, store: ChatStore) -> list[str]:
    """Stops the worker in the middle of a run for longer than its lease, then lets it go on; run and block."""
    assert worker.answer() == "ready"
    run_id, block_id = do(worker, "start")["value"]
    assert "error" not in do(worker, "write", "before")
    worker.signal(signal.SIGSTOP)
    begun = time.monotonic()
    assert wait_for_end(store, run_id) == "interrupted"
    report(f"a writer stood still: its run ended after {time.monotonic() - begun:.2f} s, its lease is {LEASE} s")
    worker.signal(signal.SIGCONT)
    return [run_id, block_id]


def test_a_writer_that_stood_still_beyond_its_lease_is_refused_and_can_start_anew(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    given = {"path": path, "context": CONTEXT, "lease": LEASE, "seconds": SECONDS}
    with Process("worker", **given) as worker, ChatStore(path) as store:
        run_id, block_id = given_up(path, worker, store)
        assert do(worker, "write", "after")["error"] == "RunInterrupted"
        assert do(worker, "end")["error"] == "RunInterrupted"
        history = store.history(CONTEXT)
        block = history.get_block(block_id)
        assert (block.state, block.text) == ("interrupted", "before")
        assert history.get_run(run_id).state == "interrupted"
        do(worker, "leave")
        new_id, _ = do(worker, "start")["value"]
        assert "error" not in do(worker, "write", "anew")
        time.sleep(2 * LEASE)  # the new run has to outlive the lease, with this process looking
        assert history.get_run(new_id).state == "running"
        assert do(worker, "end")["value"] == "anew"


def test_a_run_begun_at_once_after_a_pause_ends_when_its_process_dies(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    given = {"path": path, "context": CONTEXT, "lease": LEASE, "seconds": SECONDS}
    with Process("worker", **given) as worker, ChatStore(path) as store:
        given_up(path, worker, store)
        do(worker, "leave")
        new_id, block_id = do(worker, "start")["value"]
        do(worker, "write", "anew")
        killed = worker.kill()
        assert wait_for_end(store, new_id) == "interrupted"
        assert time.monotonic() - killed < 1
        assert store.history(CONTEXT).get_block(block_id).text == "anew"


def test_clocks_that_jump_end_no_run_and_change_no_order(tmp_path: Path) -> None:
    given = {"path": tmp_path / "chat.db", "context": CONTEXT, "lease": LEASE, "seconds": SECONDS}
    with Process("worker", **given) as writer, Process("worker", **given) as follower:
        assert writer.answer() == follower.answer() == "ready"
        run_id, _ = do(writer, "start")["value"]
        assert "error" not in do(follower, "follow")
        times = [write_at(writer, *jump) for jump in ((0, follower), (HOUR, follower), (-10 * YEAR, follower))]
        assert round((times[1] - times[0]) / HOUR) == 1 and round((times[0] - times[2]) / YEAR) == 10
        assert do(writer, "end")["value"] == "word " * 9
        with ChatStore(given["path"]) as store:
            assert store.history(CONTEXT).get_run(run_id).state == "completed"
            head = store.history(CONTEXT).head()
            assert [block.index for block in store.history(CONTEXT).get_messages()] == list(range(4))
        cursors = follow_to(follower, head)
    assert cursors == sorted(set(cursors))


def write_at(writer: Process, jump: float, follower: Process) -> float:
    """Sets the writer's clock, the follower's the other way, and writes for longer than a lease; the writer's time."""
    assert "error" not in do(writer, "set_clock", jump)
    follower.tell(["set_clock", -jump])
    noted = do(writer, "note", "a jump")
    for _ in range(3):
        assert "error" not in do(writer, "write", "word ")
        time.sleep(LEASE / 2)
    return datetime.fromisoformat(noted["value"]).timestamp()


def follow_to(follower: Process, head: str) -> list[str]:
    """The cursors that a follower saw, up to this one."""
    cursors: list[str] = []
    while head not in cursors:
        said = follower.answer()
        cursors += [said[1]] if isinstance(said, list) else []
    return cursors
