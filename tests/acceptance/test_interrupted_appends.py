"""Ctrl-C in the middle of an append hurts nobody: not the store, not the neighbours, not what was acknowledged."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from checker import check_numbers, read_all
from children import running, script
from figures import report

from chatstore import ChatStore

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_interrupts_tear_no_batch_and_fail_no_neighbour(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "chat.db"
    rng = random.Random(rounds)
    child = script("interrupted", path=path, interrupts=rounds, seconds=120)
    with running(child):
        assert child.answer() == "ready"
        for _ in range(rounds):
            time.sleep(rng.uniform(0.0005, 0.02))  # the moment is the point, not the wait
            child.signal(signal.SIGINT)
            assert child.answer() == "interrupted"
        outcome = child.answer()
        assert not outcome["stuck"], outcome["failures"]
        assert outcome["failures"] == []
        child.succeed()
    stored = read_all(path)
    for context, blocks in stored.items():
        assert [block.index for block in blocks] == list(range(len(blocks)))
        there = [(block.index, block.id, block.text) for block in blocks]
        assert {tuple(one) for one in outcome["told"][context]} <= set(there), "acknowledged and lost"
        assert len({text for _, _, text in there}) == len(there), "stored twice"
        for place in range(0, len(blocks), 3):
            parts = [block.text.rsplit(" ", 1) for block in blocks[place : place + 3]]
            assert [part for _, part in parts] == ["0", "1", "2"], "a torn batch"
            assert len({name for name, _ in parts}) == 1, "a batch that does not stand together"
    assert len(outcome["told"]["neighbours"]) == len(stored["neighbours"]), "a neighbour was not told"
    with ChatStore(path, busy_timeout=0) as store:
        store.history("interrupted").append_user_message("afterwards")
    check_numbers(path)
    report("interrupted", rounds=rounds, **{context: len(blocks) for context, blocks in stored.items()})
