"""How soon another process's commit is seen: within a second with no wake-up at all, and far sooner with one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from children import running, script
from figures import latencies, report

from chatstore import ChatStore

BOUND = 1.0
"""Seconds: the contract's own promise, for a store that hears nothing."""
FACES = ("sync", "async")

pytestmark = [pytest.mark.slow, pytest.mark.timed, pytest.mark.timeout(300)]


def seen_after(
    tmp_path: Path, wake: str, pairs: int, appends: int, *, longest_pause: float, without_inotify: bool = False
) -> tuple[list[float], list[str]]:
    """Seconds from the beginning of each append to its sight in another process, over pairs of processes that have
    a store to themselves; and what the listeners logged."""
    paths = [tmp_path / f"{number}.db" for number in range(pairs)]
    for path in paths:
        ChatStore(path).close()
    common = {"appends": appends, "longest_pause": longest_pause}
    listeners = [
        script("listener", path=path, face=FACES[n % 2], wake=wake, without_inotify=without_inotify, **common)
        for n, path in enumerate(paths)
    ]
    with running(*listeners):
        for listener in listeners:
            if (said := listener.answer()) != "ready":
                pytest.skip(said)
        appenders = [script("listener", path=path, face="writer", seed=n, **common) for n, path in enumerate(paths)]
        with running(*appenders):
            delays = []
            for listener, appender in zip(listeners, appenders, strict=True):
                written = dict(json.loads(line) for line in appender.rest())
                seen = [json.loads(line) for line in listener.rest()]
                assert [index for index, _ in seen] == list(range(appends)) == sorted(written)
                delays += [(at - written[index]) / 1e9 for index, at in seen]
            for child in (*listeners, *appenders):
                child.succeed()
    return delays, [listener.stderr for listener in listeners]


@pytest.mark.parametrize(("pairs", "appends"), [(2, 5), (5, 100)])
def test_with_every_wake_up_suppressed_an_append_is_seen_within_a_second(
    tmp_path: Path, pairs: int, appends: int
) -> None:
    delays, _ = seen_after(tmp_path, "none", pairs, appends, longest_pause=0.8)
    report("no wake-ups", appends=len(delays), **latencies(delays))
    assert max(delays) < BOUND


@pytest.mark.parametrize("wake", ["auto", "inotify", "watchfiles", "poll"])
@pytest.mark.parametrize("appends", [20, 200])
def test_every_waker_sees_an_append_of_another_process(tmp_path: Path, wake: str, appends: int) -> None:
    if wake == "inotify" and not sys.platform.startswith("linux"):
        pytest.skip("inotify is Linux's")
    delays, _ = seen_after(tmp_path, wake, 2, appends // 2, longest_pause=0.2)
    report(wake, appends=len(delays), **latencies(delays))
    assert max(delays) < BOUND


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")
def test_auto_falls_back_to_polling_where_no_events_are_to_be_had(tmp_path: Path) -> None:
    delays, logged = seen_after(tmp_path, "auto", 2, 10, longest_pause=0.2, without_inotify=True)
    report("auto without inotify", appends=len(delays), **latencies(delays))
    assert all("looking for changes by polling" in log for log in logged)
    assert not any("Traceback" in log for log in logged), logged[0]
    assert max(delays) < BOUND
