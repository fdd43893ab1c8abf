"""Backups while several processes write: each is a prefix, with all that was acknowledged when it began."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from checker import check_numbers
from children import Child, running
from figures import report
from test_many_writers import CONTEXTS, make_store, start, writers

from chatstore import BackupReport, ChatStore


def told_so_far(children: list[Child], told: list[dict[str, Any]]) -> None:
    """Takes what the writers have said by now."""
    for child in children:
        while not child.lines.empty():
            if (line := child.lines.get()) is None:
                child.lines.put(None)
                break
            told.append(json.loads(line))


def wait_for(children: list[Child], told: list[dict[str, Any]], attempts: int) -> None:
    """Waits until the writers have told of so many attempts."""
    deadline = time.monotonic() + 120
    told_so_far(children, told)
    while len(told) < attempts:
        assert time.monotonic() < deadline, f"{len(told)} of {attempts} attempts"
        time.sleep(0.01)
        told_so_far(children, told)


def check_backup(path: Path, told: list[dict[str, Any]], blocks: int) -> int:
    """The blocks of a backup, which has to hold all that was told."""
    check_numbers(path)
    with ChatStore(path, create=False) as store:
        assert store.check().problems == ()
        stored = {name: store.history(name).get_messages() for name in CONTEXTS}
    there = {(name, block.index, block.id, block.text) for name in stored for block in stored[name]}
    acknowledged = {(one["context"], *block) for one in told if one["got"] is None for block in one["stored"]}
    assert acknowledged <= there
    assert len(there) == blocks
    return len(there)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backups", "processes", "appends"),
    [(4, 3, 600), pytest.param(20, 4, 8_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(500)])],
)
def test_backups_under_load_are_prefixes_with_all_that_was_acknowledged(
    tmp_path: Path, backups: int, processes: int, appends: int
) -> None:
    path = tmp_path / "chat.db"
    make_store(path)
    children = writers(path, processes, appends, seed=backups)
    told: list[dict[str, Any]] = []
    made: list[tuple[int, BackupReport]] = []
    seconds = []
    with running(*children), ChatStore(path) as store:
        start(children)
        for number in range(backups):
            wait_for(children, told, number * processes * appends // (8 * backups))
            began = time.monotonic()
            made.append((len(told), store.backup(tmp_path / f"backup-{number}.db")))
            seconds.append(time.monotonic() - began)
        still_writing = sum(child.process.poll() is None for child in children)
        for child in children:
            told.extend(map(json.loads, child.rest()))
            child.succeed()
        assert store.check().problems == ()
    sizes = [check_backup(Path(backup.path), told[:before], backup.blocks) for before, backup in made]
    assert sizes == sorted(sizes)
    assert still_writing, "the load ended before the last backup; give it more appends"
    report("backups under load", backups=backups, blocks=f"{sizes[0]} to {sizes[-1]}", slowest_s=max(seconds))
