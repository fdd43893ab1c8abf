"""One bit turned anywhere in what is stored is found, and the context and the block are named."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from figures import report
from flipping import TABLES, Flip, Flipper, fill

from chatstore import ChatStore


def names_it(problems, flip: Flip) -> bool:
    return any(
        problem.context_id == flip.context_id and (not flip.blocks or problem.index in flip.blocks)
        for problem in problems
    )


@pytest.mark.parametrize("flips", [200, pytest.param(3_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_every_bit_that_was_turned_is_found_and_named(tmp_path: Path, flips: int) -> None:
    path = tmp_path / "chat.db"
    fill(path)
    missed, unnamed, tables = [], [], Counter()
    with ChatStore(path) as store, closing(sqlite3.connect(path)) as conn:
        assert store.check().problems == ()
        flipper, rng = Flipper(conn, flips), random.Random(flips)
        for _ in range(flips):
            flip = flipper.flip(rng.choice(TABLES))
            problems = store.check().problems
            if not problems:
                missed.append(flip)
            elif not names_it(problems, flip):
                unnamed.append((flip, problems))
            tables[flip.table] += 1
            flipper.undo(flip)
        assert store.check().problems == ()
    assert not missed
    assert not unnamed
    report("bit flips", flips=flips, found=flips - len(missed), named=flips - len(unnamed), **tables)
