"""Everything breaks while many processes write and follow: nothing is lost, doubled, missed or out of order."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checker import check_history, read_all
from children import Child, running
from figures import report
from server_faults import Killer, set_up

from chatstore import BlockDraft, ChatStore

CONTEXTS = [f"context {number}" for number in range(5)]
CURED = 5
"""Seconds after the last fault in which all subscribers have seen all."""
WAKERS = ("auto", "auto", "poll", "none")


def storm(number: int, url: str, *, processes: int, subscribers: int, **arguments: object) -> Child:
    """One of the processes, with its share of the subscribers: every fourth follows the whole store."""
    followed = [(one, None if one % 4 == 0 else CONTEXTS[one % len(CONTEXTS)]) for one in range(subscribers)]
    given = {
        "path": url,
        "name": f"w{number}",
        "face": ("sync", "async")[number % 2],
        "wake": WAKERS[number % len(WAKERS)],
        "contexts": CONTEXTS,
        "seed": number,
        "subscribers": followed[number::processes],
        **arguments,
    }
    script = str(Path(__file__).with_name("storm.py"))
    return Child([sys.executable, "-X", "faulthandler", "-W", "error", script, json.dumps(given)], seconds=400)


def told_until(child: Child, last: str) -> list[Any]:
    """What a process says before that."""
    told = []
    while (answer := child.answer()) != last:
        told.append(answer)
    return told


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(
    ("processes", "appends", "streams", "subscribers", "kills", "restart"),
    [
        (2, 60, 3, 8, 6, None),
        pytest.param(8, 200, 20, 20, 15, "fast", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
        pytest.param(
            8, 1_000, 20, 20, 50, "fast", marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(500)]
        ),
        pytest.param(4, 200, 60, 8, 10, "immediate", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_what_was_acknowledged_is_there_once_and_every_subscriber_sees_it_once_in_order(
    url: str, processes: int, appends: int, streams: int, subscribers: int, kills: int, restart: str | None
) -> None:
    set_up(url)
    children = [
        storm(number, url, processes=processes, subscribers=subscribers, appends=appends, streams=streams)
        for number in range(processes)
    ]
    killer = Killer(url, kills, pause=0.3, restart=restart)
    with running(*children):
        for child in children:
            assert child.answer() == "ready"
        begun = time.monotonic()
        for child in children:
            child.tell()
        killer.start()
        try:
            reports = [one for child in children for one in told_until(child, "written")]
            killer.finish()
        finally:
            killer.stop()
        seconds = time.monotonic() - begun
        end = mark_the_end(url)
        sights = [json.loads(line) for child in children for line in child.rest()]
        for child in children:
            child.succeed()
    blocks = check_store(url, reports)
    check_sights(url, sights, end)
    assert sorted(sight["number"] for sight in sights) == list(range(subscribers))
    figures = {"blocks": blocks, "attempts": len(reports), "seconds": seconds, **killer.kills}
    last = max(sight["ended"] for sight in sights) - end
    report("storm", **figures, stretches=sum(one["stretches"] for one in sights), all_had_all_after=last / 1e9)


def mark_the_end(url: str) -> int:
    """Appends what each subscriber waits for, once all faults are over; when that was."""
    with psycopg.connect(url) as conn:
        conn.execute("DROP TRIGGER stumble ON chatstore.changes")
        conn.execute("DROP TRIGGER fall ON chatstore.blocks")
    cured = time.monotonic_ns()
    with ChatStore(url) as store:
        for context in CONTEXTS:
            store.history(context).append(BlockDraft(type="the end", text="over"))
    return cured


def check_store(url: str, reports: list[dict[str, Any]]) -> int:
    """Every acknowledged block stands there once, in real-time order, without a gap; how many blocks there are."""
    stored = read_all(url)
    for one in reports:
        assert one["got"] == one["wanted"], f"wanted {one['wanted']}, got {one['got']}: {one}"
    for context, blocks in stored.items():
        assert blocks[-1].type == "the end"
        check_history(blocks[:-1], [one for one in reports if one["context"] == context])
    with psycopg.connect(url) as conn:
        assert conn.execute(GAPS).fetchall() == []
    return sum(map(len, stored.values()))


# By the places in the store's log: the numbers of each history stand there in their order, without a gap.
GAPS = """
SELECT history_id, sequence FROM (
    SELECT history_id, sequence, lag(sequence, 1, 0) OVER (PARTITION BY history_id ORDER BY id) AS before
    FROM chatstore.changes
) AS steps WHERE sequence <> before + 1
"""


def check_sights(url: str, sights: list[dict[str, Any]], cured: int) -> None:
    """Each subscriber saw what its log holds, in order, and in time."""
    with ChatStore(url) as store:
        logs = {
            context: [
                [context, type(change).__name__, change.block_id]  # type: ignore[union-attr]
                for change in store.history(context).subscribe(follow=False)
            ]
            for context in CONTEXTS
        }
    for sight in sights:
        who = f"subscriber {sight['number']}"
        assert sight["wrong"] == [], f"{who}: {sight['wrong'][:3]}"
        for context in CONTEXTS if sight["context"] is None else [sight["context"]]:
            seen = [one for one in sight["seen"] if one[0] == context]
            twice = [one for one, count in Counter(map(tuple, seen)).items() if count > 1]
            assert not twice, f"{who} twice: {twice[:3]}"
            missed = [one for one in logs[context] if one not in seen]
            assert seen == logs[context], f"{who} in {context}: missed {missed[:3]} of {len(logs[context])}"
        late = (sight["ended"] - cured) / 1e9
        assert late < CURED, f"{who} was there {late:.1f} s after the last fault"
