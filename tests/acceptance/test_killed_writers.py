"""A writer that is killed takes nothing with it that it was told is stored, and leaves nothing half-written."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
from checker import check_numbers, read_all
from children import Child, running, script
from figures import report

from chatstore import Block, ChatStore

CONTEXTS = ["a", "b"]


def victims(path: Path, round: int, count: int) -> list[Child]:
    faces = ("sync", "async")
    return [
        script(
            "victim",
            seconds=60,
            path=path,
            name=f"r{round}w{number}",
            seed=round * 10 + number,
            face=faces[(round + number) % 2],
            contexts=CONTEXTS,
        )
        for number in range(count)
    ]


def kill_at_random(children: list[Child], rng: random.Random) -> list[list]:
    """Kills each at a moment of its own after its first answer; all that they had said."""
    first = [child.answer() for child in children]
    timers = [threading.Timer(rng.uniform(0, 0.15), child.signal, [signal.SIGKILL]) for child in children]
    for timer in timers:
        timer.start()
    rest = [json.loads(line) for child in children for line in child.rest()]
    for timer, child in zip(timers, children, strict=True):
        timer.join()
        assert child.wait() == -signal.SIGKILL, child.stderr
    return first + rest


def check_batches(blocks: list[Block]) -> None:
    """No append is there in part: its blocks stand together, as many as their text says."""
    batches = Counter(block.text.split("/")[0].rsplit(" ", 1)[0] for block in blocks)
    for block in blocks:
        name, place = block.text.split("x")[0].rsplit(" ", 1)
        part, count = map(int, place.split("/"))
        assert batches[name] == count, f"a torn batch: {block.text}"
        assert blocks[block.index - part].text.startswith(f"{name} 0/"), f"a batch that does not stand together: {name}"


@pytest.mark.parametrize(
    ("rounds", "writers"), [(2, 3), pytest.param(30, 3, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
def test_killed_writers_lose_nothing_acknowledged_and_tear_no_batch(tmp_path: Path, rounds: int, writers: int) -> None:
    path = tmp_path / "chat.db"
    rng = random.Random(rounds)
    acknowledged = 0
    for round in range(rounds):
        children = victims(path, round, writers)
        with running(*children):
            told = kill_at_random(children, rng)
        stored = read_all(path)
        there = {(context, block.index, block.id, block.text) for context in stored for block in stored[context]}
        for context, blocks in told:
            missing = {(context, *block) for block in blocks} - there
            assert not missing, f"acknowledged and lost in round {round}: {missing}"
        acknowledged += sum(len(blocks) for _, blocks in told)
        check_numbers(path)
    for blocks in stored.values():
        assert [block.index for block in blocks] == list(range(len(blocks)))
        check_batches(blocks)
    with ChatStore(path, busy_timeout=0) as store:
        store.history("a").append_user_message("after all of them")
    unacknowledged = sum(map(len, stored.values())) - acknowledged
    report("killed", rounds=rounds, writers=writers, acknowledged=acknowledged, lost=0, stored_unsaid=unacknowledged)
