"""One bit turned anywhere in what is stored is found, and the context and the block are named."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from figures import report
from flipping import KEPT_BY_AN_INDEX, TABLES, Flip, Flipper, fill_all

from chatstore.databases import open_database
from chatstore.databases.inspecting import check


def names_it(problems, flip: Flip) -> bool:
    if (flip.table, flip.column) == KEPT_BY_AN_INDEX:  # SQLite cannot read what the entry is about
        named = {(one.context_id, one.table) for one in problems}
        return not named.isdisjoint({(None, "the file"), (flip.context_id, "changes")})
    return any(
        problem.context_id == flip.context_id and (not flip.blocks or problem.index in flip.blocks)
        for problem in problems
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "flips", [200, pytest.param(3_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)])]
)
def test_every_bit_that_was_turned_is_found_and_named(tmp_path: Path, flips: int) -> None:
    path = tmp_path / "chat.db"
    fill_all(path)
    missed, unnamed, tables = [], [], Counter()
    # Not a ChatStore, which would end what the dead process has left open.
    with (
        closing(open_database(path, create=False, busy_timeout=30)) as database,
        closing(Flipper(path, flips)) as flipper,
    ):
        rng = random.Random(flips)
        assert check(database).problems == ()
        assert flipper.tables == list(TABLES)
        for _ in range(flips):
            flip = flipper.flip(rng.choice(TABLES))
            problems = check(database).problems
            if not problems:
                missed.append(flip)
            elif not names_it(problems, flip):
                unnamed.append((flip, problems))
            tables[flip.table] += 1
            flipper.undo(flip)
        assert check(database).problems == ()
    report("bit flips", flips=flips, found=flips - len(missed), named=flips - len(unnamed) - len(missed), **tables)
    assert not missed
    assert not unnamed
