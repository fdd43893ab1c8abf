"""A history checker: what writers were told against what is stored, and what subscribers were given against both.

With indexes that have no gaps, linearizability needs no search: it holds when every acknowledged block stands in its
place exactly once, and no append that ended before another began stands behind it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from heartbeat import Gap, without

from chatstore import Block, ChatStore

Report = dict[str, Any]

LATE = 1_000_000_000
"""Nanoseconds after a commit, or after a subscriber came, in which it has to be given what was committed."""


class Sight(NamedTuple):
    """A change as a subscriber was given it: `since` when it had come, and `at` when it got it, in nanoseconds."""

    cursor: str
    block: str
    since: int
    at: int


def check(path: Path, reports: Iterable[Report]) -> dict[str, int]:
    """Raises an AssertionError at the first violation; the figures of what was checked."""
    reports = list(reports)
    stored = read_all(path)
    by_context: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        assert report["got"] == report["wanted"], f"wanted {report['wanted']}, got {report['got']}: {report}"
        by_context[report["context"]].append(report)
    assert by_context.keys() >= stored.keys(), "a context that nobody wrote to"
    for context, told in by_context.items():
        check_history(stored.get(context, []), told)
    check_numbers(path)
    blocks = sum(map(len, stored.values()))
    return {"attempts": len(reports), "refused": sum(1 for one in reports if one["wanted"]), "blocks": blocks}


def read_all(path: Path) -> dict[str, list[Block]]:
    """Every history, as it is read through the public API."""
    with ChatStore(path, create=False) as store:
        return {one.context_id: store.history(one.context_id).get_messages() for one in store.contexts()}


def check_history(blocks: list[Block], told: list[Report]) -> None:
    """One history: gapless, every acknowledged block there once, nothing of a refused one, in real-time order."""
    assert [block.index for block in blocks] == list(range(len(blocks))), "indexes with a gap"
    acknowledged = [report for report in told if report["got"] is None]
    ids: dict[str, tuple[int, str]] = {}
    for report in acknowledged:
        assert len(report["stored"]) == len(report["texts"]), f"a torn batch: {report}"
        first = report["stored"][0][0]
        for place, (index, id, text) in enumerate(report["stored"]):
            assert index == first + place, f"a batch that is not consecutive: {report}"
            assert text == report["texts"][place], f"another text than was given: {report}"
            ids[id] = (index, text)
    assert {block.id: (block.index, block.text) for block in blocks} == ids, "stored is not what was acknowledged"
    assert max(Counter(block.text for block in blocks).values(), default=1) == 1, "something is stored twice"
    check_real_time(acknowledged)


def check_real_time(acknowledged: list[Report]) -> None:
    """What was acknowledged before something else began stands before it. A repetition tells of the first time."""
    first_told: dict[str, Report] = {}
    for report in sorted(acknowledged, key=lambda report: report["ended"]):
        first_told.setdefault(report["stored"][0][1], report)
    ended = sorted(first_told.values(), key=lambda report: report["ended"])
    place, highest = 0, -1
    for report in sorted(first_told.values(), key=lambda report: report["begun"]):
        while ended[place]["ended"] < report["begun"]:
            highest = max(highest, ended[place]["stored"][-1][0])
            place += 1
        assert report["stored"][0][0] > highest, f"behind one that began after it ended: {report}"


def check_numbers(path: Path) -> None:
    """What SQLite itself says of the file: sound, and every counter and number without a gap."""
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for id, head, count in conn.execute("SELECT id, head, count FROM histories").fetchall():
            for expected, first, column, table in ((head, 1, "sequence", "changes"), (count, 0, '"index"', "blocks")):
                numbers = conn.execute(f"SELECT {column} FROM {table} WHERE history_id = ? ORDER BY 1", (id,))
                assert [number for (number,) in numbers] == list(range(first, first + expected)), (table, id)


def lateness(sight: Sight, told: Mapping[str, int], gaps: Iterable[Gap] = ()) -> int:
    """Nanoseconds from a commit, or from when the subscriber came, without those in which it could do nothing."""
    return without(gaps, max(told[sight.block], sight.since), sight.at)


def violations(
    expected: Sequence[tuple[str, str]], told: Mapping[str, int], sights: Iterable[Sight], gaps: Sequence[Gap] = ()
) -> list[str]:
    """What one subscriber got wrong, over all its lives put together.

    `expected` are the changes it asked for, in order, as cursor and block; `told` is when each block was acknowledged,
    and `gaps` are when the machine gave the subscriber no time.
    """
    places = {change: place for place, change in enumerate(expected)}
    seen: set[int] = set()
    found, highest = [], -1
    for sight in sights:
        place = places.get((sight.cursor, sight.block))
        if place is None:
            found.append(f"unasked: {sight}")
            continue
        if place in seen:
            found.append(f"duplicate: {sight}")
        elif place < highest:
            found.append(f"reordered: {sight}")
        elif (late := lateness(sight, told, gaps)) > LATE:
            found.append(f"late by {late / 1e9:.2f} s: {sight}")
        seen.add(place)
        highest = max(highest, place)
    return [*found, *(f"gap: {expected[place]}" for place in range(len(expected)) if place not in seen)]
