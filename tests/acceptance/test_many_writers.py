"""Many processes write at once: no gap, nothing lost or doubled, in the order in which it happened."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attempts import TRIGGERS
from checker import check
from children import Child, running, script
from figures import report

from chatstore import ChatStore

pytestmark = pytest.mark.slow

CONTEXTS = [f"context {number}" for number in range(5)]
FACES = ("sync", "async", "both")


def writers(path: Path, processes: int, appends: int, *, seed: int, wait: bool = True) -> list[Child]:
    """Processes that write to the same contexts, each over another face than its neighbour."""
    return [
        script(
            "writer",
            seconds=400,
            path=path,
            name=f"w{number}",
            face=FACES[number % len(FACES)],
            appends=appends,
            contexts=CONTEXTS,
            seed=seed * 100 + number,
            wait=wait,
        )
        for number in range(processes)
    ]


def make_store(path: Path) -> None:
    """A new store that refuses some blocks by itself, in the middle of a commit."""
    ChatStore(path).close()
    with closing(sqlite3.connect(path)) as conn:
        for trigger in TRIGGERS:
            conn.execute(trigger)


def start(children: list[Child]) -> None:
    """Lets all of them go once all are ready."""
    for child in children:
        assert child.answer() == "ready"
    for child in children:
        child.tell()


@pytest.mark.parametrize(
    ("processes", "appends"),
    [
        (3, 150),
        pytest.param(8, 300, marks=pytest.mark.slow),
        pytest.param(8, 2_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(500)]),
    ],
)
def test_every_acknowledged_append_is_stored_once_without_gaps_and_in_real_time_order(
    tmp_path: Path, processes: int, appends: int
) -> None:
    path = tmp_path / "chat.db"
    make_store(path)
    children = writers(path, processes, appends, seed=appends)
    with running(*children):
        start(children)
        reports = [json.loads(line) for child in children for line in child.rest()]
        for child in children:
            child.succeed()
    figures = check(path, reports)
    assert figures["attempts"] >= processes * appends
    assert figures["refused"] >= figures["attempts"] // 12
    seconds = (max(one["ended"] for one in reports) - min(one["begun"] for one in reports)) / 1e9
    report("many writers", processes=processes, **figures, seconds=seconds)
