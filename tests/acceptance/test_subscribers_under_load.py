"""Subscribers that come and go while many processes write see exactly the history, each under its filter."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from checker import Sight, check, lateness, violations
from children import Child, running, script
from figures import latencies, report
from filters import FILTERS
from heartbeat import Gap
from test_many_writers import CONTEXTS, make_store, start, writers

from chatstore import BlockAdded, Change, ChatStore

pytestmark = pytest.mark.slow

WAKERS = ("auto", "none", "poll", "watchfiles")


def followers(path: Path, subscribers: int, disconnects: int, seconds: float) -> list[Child]:
    """Four processes that share the subscribers, two of them with an event loop, each with another waker."""
    numbers = [(number, CONTEXTS[number % len(CONTEXTS)]) for number in range(subscribers)]
    return [
        script(
            "follower",
            seconds=400,
            path=path,
            face=("sync", "async")[place % 2],
            wake=WAKERS[place],
            subscribers=numbers[place::4],
            disconnects=disconnects,
            over=seconds,
        )
        for place in range(4)
    ]


def check_subscriber(stretches: list[dict[str, Any]], log: list[Change]) -> int:
    """Each stretch is the log between two cursors under its filter, and each begins where the last one ended."""
    cursor = None
    for stretch in stretches:
        assert stretch["after"] == cursor
        cursor = stretch["until"]
        matches = FILTERS[stretch["filter"]][1]
        after, until = stretch["after"] or "", stretch["until"] or ""
        expected = [
            (change.cursor, type(change).__name__, change.block.model_dump_json())
            for change in log
            if isinstance(change, BlockAdded) and after < change.cursor <= until and matches(change.block)
        ]
        seen = [tuple(one) for one in stretch["seen"]]
        assert seen == expected, f"subscriber {stretch['subscriber']} from {after} to {until}"
    assert cursor == log[-1].cursor, "it did not get to the end"
    return sum(len(stretch["seen"]) for stretch in stretches)


@pytest.mark.parametrize(
    ("processes", "appends", "subscribers", "disconnects"),
    [
        (2, 150, 8, 10),
        pytest.param(8, 2_000, 20, 100, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(500)]),
    ],
)
def test_what_subscribers_saw_put_together_is_the_history_under_their_filter(
    tmp_path: Path, processes: int, appends: int, subscribers: int, disconnects: int
) -> None:
    path = tmp_path / "chat.db"
    make_store(path)
    writing = writers(path, processes, appends, seed=appends)
    following = followers(path, subscribers, disconnects, seconds=processes * appends / 2_000)
    with running(*writing, *following):
        for child in following:
            assert child.answer() == "ready"
        start(writing)
        reports = [json.loads(line) for child in writing for line in child.rest()]
        for child in following:
            child.tell("the writers are done")
        stretches = [json.loads(line) for child in following for line in child.rest()]
        for child in (*writing, *following):
            child.succeed()
    check(path, reports)
    with ChatStore(path) as store:
        logs = {context: list(store.history(context).subscribe(follow=False)) for context in CONTEXTS}
    by_subscriber: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for stretch in stretches:
        by_subscriber[stretch["subscriber"]].append(stretch)
    assert sorted(by_subscriber) == list(range(subscribers))
    assert min(map(len, by_subscriber.values())) > disconnects
    seen = sum(check_subscriber(told, logs[told[0]["context"]]) for told in by_subscriber.values())
    live = sum(1 for stretch in stretches if stretch["seen"])
    report(
        "subscribers", subscribers=subscribers, subscriptions=len(stretches), of_them_with_changes=live, changes=seen
    )


class Crowd:
    """Processes of subscribers that are killed and started again, and what each subscriber has acknowledged."""

    def __init__(self, path: Path, processes: int, subscribers: int) -> None:
        self.path = path
        self.random = random.Random(subscribers)
        self.places = [(number, CONTEXTS[number % len(CONTEXTS)]) for number in range(subscribers)]
        self.sights: dict[int, list[Sight]] = {number: [] for number in range(subscribers)}
        self.gaps: list[list[Gap]] = [[] for _ in range(processes)]
        self.kills = 0
        self.children = [self._start(place, processes) for place in range(processes)]

    def _start(self, place: int, processes: int) -> Child:
        return script(
            "resumer",
            seconds=1_000,
            path=self.path,
            face=("sync", "async")[place % 2],
            wake=("auto", "none", "none", "poll")[place % 4],
            seed=self.random.randrange(10**9),
            subscribers=[
                (number, context, self.sights[number][-1].cursor if self.sights[number] else None)
                for number, context in self.places[place::processes]
            ],
        )

    def kill_one(self) -> None:
        """Kills a process, and starts another one where its subscribers have acknowledged to be."""
        place = self.random.randrange(len(self.children))
        with self.children[place] as child:
            child.signal(signal.SIGKILL)
            self._take(place, child)
        self.kills += 1
        self.children[place] = self._start(place, len(self.children))

    def finish(self) -> None:
        """Lets all of them catch up and end."""
        for child in self.children:
            child.tell("the writers are done")
        for place, child in enumerate(self.children):
            self._take(place, child)
            child.succeed()

    def close(self) -> None:
        for child in self.children:
            child.close()

    def gaps_of(self, number: int) -> list[Gap]:
        """When the machine gave the process of a subscriber no time."""
        return self.gaps[number % len(self.gaps)]

    def _take(self, place: int, child: Child) -> None:
        for line in child.rest():
            said = json.loads(line)
            if len(said) == 2:
                self.gaps[place].append((said[0], said[1]))
            else:
                self.sights[said[0]].append(Sight(*said[1:]))


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(
    ("seconds", "processes", "subscribers", "every"),
    [
        (20, 4, 12, 1.5),
        pytest.param(120, 4, 20, 3.0, marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
        pytest.param(600, 4, 20, 3.0, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1_000)]),
    ],
)
def test_subscribers_that_are_killed_and_hear_nothing_get_each_change_once_in_order_and_in_time(
    tmp_path: Path, seconds: int, processes: int, subscribers: int, every: float
) -> None:
    path = tmp_path / "chat.db"
    make_store(path)
    common: dict[str, Any] = {"path": path, "contexts": CONTEXTS, "over": seconds, "pause": 0.02}
    writing = [
        script("steady_writer", seconds=1_000, name=f"w{n}", face=("sync", "async")[n % 2], seed=n, **common)
        for n in range(3)
    ]
    with running(*writing), closing(Crowd(path, processes, subscribers)) as crowd:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(crowd.random.uniform(0, 2 * every))
            crowd.kill_one()
        reports = [json.loads(line) for child in writing for line in child.rest()]
        for child in writing:
            child.succeed()
        crowd.finish()
    check(path, reports)
    found, delays = check_crowd(path, crowd, reports)
    figures = {"subscribers": subscribers, "kills": crowd.kills, "changes": len(delays)}
    gaps = [(until - since) / 1e6 for of_one in crowd.gaps for since, until in of_one]
    waits = {"times the machine gave none": len(gaps), "for at most": f"{max(gaps, default=0):.0f} ms"}
    report("killed and deaf subscribers", **figures, **latencies(delays), **waits)
    assert not found, f"{len(found)} violations, such as {found[:5]}"


def check_crowd(path: Path, crowd: Crowd, reports: list[dict[str, Any]]) -> tuple[list[str], list[float]]:
    """All violations, and the seconds from each commit to each sight of it, or from when the subscriber came."""
    told: dict[str, int] = {}
    for one in sorted(reports, key=lambda one: one["ended"]):
        for _, id, _ in one["stored"]:
            told.setdefault(id, one["ended"])
    with ChatStore(path) as store:
        logs = {context: list(store.history(context).subscribe(follow=False)) for context in CONTEXTS}
    found = []
    for number, context in crowd.places:
        asked = FILTERS[number % len(FILTERS)][1]
        expected = [
            (one.cursor, one.block.id) for one in logs[context] if isinstance(one, BlockAdded) and asked(one.block)
        ]
        wrong = violations(expected, told, crowd.sights[number], crowd.gaps_of(number))
        found += [f"subscriber {number}: {one}" for one in wrong]
    sights = (sight for of_one in crowd.sights.values() for sight in of_one)
    return found, [lateness(sight, told) / 1e9 for sight in sights]
