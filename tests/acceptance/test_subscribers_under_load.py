"""Subscribers that come and go while many processes write see exactly the history, each under its filter."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from checker import check
from children import Child, running, script
from figures import report
from filters import FILTERS
from test_many_writers import CONTEXTS, make_store, start, writers

from chatstore import Change, ChatStore

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
            if after < change.cursor <= until and matches(change.block)
        ]
        seen = [tuple(one) for one in stretch["seen"]]
        assert seen == expected, f"subscriber {stretch['subscriber']} from {after} to {until}"
    assert cursor == log[-1].cursor, "it did not get to the end"
    return sum(len(stretch["seen"]) for stretch in stretches)


@pytest.mark.parametrize(
    ("processes", "appends", "subscribers", "disconnects"),
    [(2, 150, 8, 10), pytest.param(8, 2_000, 20, 100, marks=[pytest.mark.slow, pytest.mark.timeout(500)])],
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
