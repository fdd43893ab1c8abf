"""A writer that dies leaves nobody waiting: its runs and blocks end as interrupted, with their text."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from data_support import report

from chatstore import ChatStore
from growing.many_streams import text_of
from growing.processes import Process

pytestmark = [pytest.mark.slow, pytest.mark.timed]

STREAMS, CONTEXTS = 50, 10
AT_ONCE = 1.0
"""Seconds in which the death of a process of this machine is noticed."""
LEASE = 2
LOOKS = 1.0
"""Seconds by which the end of a lease may be noticed late: two looks at the store, half a second each."""


@contextmanager
def followed(path: Path, streams: int, **writer: Any) -> Iterator[tuple[Process, Process, list[Any]]]:
    """A writer of many streams, a process that follows all of them, and the runs."""
    given = {"path": path, "streams": streams, "contexts": CONTEXTS}
    with Process("many_streams", **given, **writer) as writing, Process("ends_watcher", **given) as watching:
        runs = [writing.answer() for _ in range(streams)]
        watching.tell(runs)
        assert watching.answer() == "following"
        yield writing, watching, runs


def acknowledged(said: list[Any]) -> dict[int, int]:
    """The characters of each stream that were flushed."""
    characters: dict[int, int] = {}
    for number, length in said:
        characters[number] = max(length, characters.get(number, 0))
    return characters


def check_ends(ends: list[Any], runs: list[Any], flushed: dict[int, int]) -> None:
    """Everybody saw every end, with all that was flushed, and nothing that was not written."""
    assert sorted((which, number) for which, number, *_ in ends) == sorted(
        (which, number) for which in ("block", "run") for number in range(len(runs))
    )
    for which, place, state, text, _ in ends:
        number = int(text.split(":")[0])
        assert state == "interrupted", (which, place, state)
        assert text == text_of(number, 10_000)[: len(text)], f"not what was written: {text[-100:]}"
        assert flushed.get(number, 0) <= len(text), f"acknowledged and lost: {flushed[number] - len(text)} characters"


def test_all_who_follow_a_killed_writer_see_its_runs_end_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with followed(path, STREAMS, lease=30) as (writing, watching, runs):
        killed = writing.kill()
        ends = watching.rest()
        watching.succeed()
        flushed = acknowledged(writing.rest())
    check_ends(ends, runs, flushed)
    delays = sorted(at - killed for *_, at in ends)
    report(
        f"kill -9 in the middle of {STREAMS} streams: ends seen after {delays[0]:.2f} to {delays[-1]:.2f} s;"
        f" {sum(flushed.values()):,} characters flushed,"
        f" {sum(len(text) for which, _, _, text, _ in ends if which == 'run'):,} stored"
    )
    assert delays[-1] < AT_ONCE
    with ChatStore(path) as store:
        for context_id, run_id, block_id in runs:
            history = store.history(context_id)
            assert history.get_run(run_id).state == history.get_block(block_id).state == "interrupted"
            assert history.get_messages(states=["open"]) == []


def other_process_namespace() -> list[str]:
    """A command that starts another in a process namespace of its own, where that is allowed."""
    command = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("process namespaces cannot be made here: needs Linux, unshare and root")
    return command


def test_all_who_follow_a_writer_they_cannot_see_get_its_end_within_its_lease(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with followed(path, 4, lease=LEASE, prefix=other_process_namespace()) as (writing, watching, runs):
        killed = writing.kill()
        ends = watching.rest()
        watching.succeed()
        flushed = acknowledged(writing.rest())
    check_ends(ends, runs, flushed)
    delays = sorted(at - killed for *_, at in ends)
    report(
        f"a writer in another process namespace, lease {LEASE} s: ends seen after {delays[0]:.2f} to {delays[-1]:.2f} s"
    )
    assert delays[0] > LEASE / 2, "the writer was seen to die, which this test is not about"
    assert delays[-1] < LEASE + LOOKS, [(which, number, at - killed) for which, number, _, _, at in ends]
