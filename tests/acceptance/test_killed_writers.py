"""A writer that is killed takes nothing with it that it was told is stored, and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from checker import check_numbers, read_all
from children import Child, running, script
from figures import report
from victim import FACES

from chatstore import Block, ChatStore

pytestmark = pytest.mark.slow

CONTEXTS = ["a", "b"]
DURABILITIES = ("message", "token")
CHECK_EVERY = 10
"""Rounds between two looks at the whole file."""

Told = list[tuple[str, list[tuple[int, str, str, str]]]]
"""Contexts, with index, id, text and state of the blocks that a writer was told are stored there."""


def victim(path: Path, round: int, number: int) -> str:
    """What a writer is told: one of each face, with one durability or the other."""
    wanted = {
        "path": str(path),
        "name": f"r{round}w{number}",
        "seed": round * 10 + number,
        "face": FACES[number % len(FACES)],
        "durability": DURABILITIES[(round + number // 2) % 2],
        "contexts": CONTEXTS,
    }
    return json.dumps(wanted)


def kill_at_random(mothers: list[Child], rng: random.Random) -> Told:
    """Kills the writer of each at a moment of its own, perhaps as it opens the store; all that they had said."""
    pids = [mother.answer() for mother in mothers]
    timers = [threading.Timer(rng.uniform(0, 0.3), os.kill, [pid, signal.SIGKILL]) for pid in pids]
    for timer in timers:
        timer.start()
    said = [told for mother in mothers for told in until_killed(mother)]
    for timer in timers:
        timer.join()
    return said


def until_killed(mother: Child) -> Told:
    """All that its writer said."""
    said: Told = []
    while isinstance(answer := mother.answer(), list):
        said.append((answer[0], answer[1]))
    assert answer == {"signal": signal.SIGKILL}, mother.stderr
    return said


class Seen:
    """What was acknowledged, in all rounds, and how far the store was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged: dict[tuple[str, int], tuple[str, str, str]] = {}
        self.cursors: dict[str, str | None] = dict.fromkeys(CONTEXTS)

    def add(self, told: Told) -> None:
        """What was told last of a block counts: its text may have grown."""
        for context, blocks in told:
            for index, id, text, state in blocks:
                self.acknowledged[context, index] = (id, text, state)

    def check_new(self, told: Told) -> None:
        """Everything of this round is there, among what came since the last."""
        with ChatStore(self.path) as store:
            new = {name: store.history(name).get_messages(after=self.cursors[name]) for name in CONTEXTS}
        places = {(context, index) for context, blocks in told for index, *_ in blocks}
        self._check({name: {block.index: block for block in blocks} for name, blocks in new.items()}, places)
        for name, blocks in new.items():
            self.cursors[name] = blocks[-1].cursor if blocks else self.cursors[name]

    def check_all(self) -> dict[str, list[Block]]:
        """Everything of all rounds is there, and the file is sound."""
        stored = read_all(self.path)
        self._check({name: {block.index: block for block in blocks} for name, blocks in stored.items()}, None)
        for blocks in stored.values():
            assert [block.index for block in blocks] == list(range(len(blocks)))
        check_numbers(self.path)
        return stored

    def _check(self, stored: dict[str, dict[int, Block]], places: set[tuple[str, int]] | None) -> None:
        for context, index in self.acknowledged if places is None else places:
            id, text, state = self.acknowledged[context, index]
            block = stored[context].get(index)
            assert block is not None, f"acknowledged and lost: {context} {index} {text}"
            whole = block.text == text and block.state == "closed"
            assert block.id == id, f"another block at {context} {index}"
            assert whole if state == "closed" else block.text.startswith(text), f"{text!r} became {block.text!r}"


def check_batches(blocks: list[Block]) -> None:
    """No append is there in part: its blocks stand together, as many as their text says."""
    appended = [block for block in blocks if block.role == "user"]
    batches = Counter(block.text.split("/")[0].rsplit(" ", 1)[0] for block in appended)
    for block in appended:
        name, place = block.text.split("x")[0].rsplit(" ", 1)
        part, count = map(int, place.split("/"))
        assert batches[name] == count, f"a torn batch: {block.text}"
        assert blocks[block.index - part].text.startswith(f"{name} 0/"), f"a batch that does not stand together: {name}"


@pytest.mark.parametrize(
    ("rounds", "writers"),
    [
        (10, 4),
        pytest.param(60, 4, marks=pytest.mark.slow),
        pytest.param(200, 4, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)
def test_killed_writers_lose_nothing_acknowledged_and_tear_no_batch(tmp_path: Path, rounds: int, writers: int) -> None:
    seen = Seen(tmp_path / "chat.db")
    rng = random.Random(rounds)
    mothers = [script("victim", seconds=1200) for _ in range(writers)]
    with running(*mothers):
        for round in range(rounds):
            for number, mother in enumerate(mothers):
                mother.tell(victim(seen.path, round, number))
            told = kill_at_random(mothers, rng)
            seen.add(told)
            seen.check_new(told)
            if round % CHECK_EVERY == CHECK_EVERY - 1:
                check_numbers(seen.path)
    stored = seen.check_all()
    figures: dict[str, Any] = Counter(block.state for blocks in stored.values() for block in blocks)
    for blocks in stored.values():
        check_batches(blocks)
    assert "open" not in figures, "a block stayed open"
    with ChatStore(seen.path, busy_timeout=0) as store:
        store.history("a").append_user_message("after all of them")
    acknowledged = len(seen.acknowledged)
    unsaid = sum(map(len, stored.values())) - acknowledged
    report("killed", rounds=rounds, writers=writers, acknowledged=acknowledged, lost=0, stored_unsaid=unsaid, **figures)
