"""`chatstore tail -f` prints what other processes append, in order and once each, however often it is stopped."""

from __future__ import annotations

import json
import random
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from children import Child, running, script
from figures import report

from chatstore import ChatStore

pytestmark = pytest.mark.slow

CONTEXT = "support/42 – Zürich"
RESUME = re.compile(r"^resume with: .*--after (\S+)$", re.MULTILINE)
WRITERS = 3


def tail(path: Path, after: str | None) -> Child:
    resumed = [] if after is None else ["--after", after]
    command = [sys.executable, "-m", "chatstore.cli", "--store", str(path)]
    return Child([*command, "tail", CONTEXT, "-f", "--json", *resumed], seconds=150)


def pacers(path: Path, pause: float) -> list[Child]:
    """Three processes that append what they are told to."""
    children = [
        script("pacer", path=path, context=CONTEXT, name=f"w{number}", pause=pause, seconds=300)
        for number in range(WRITERS)
    ]
    for child in children:
        assert child.answer() == "ready"
    return children


def go_on(children: list[Child], appends: int) -> None:
    """Shares so many appends among the processes."""
    for number, child in enumerate(children):
        child.tell(str(appends // WRITERS + (number < appends % WRITERS)))


def end(children: list[Child]) -> None:
    for child in children:
        assert child.process.stdin is not None
        child.process.stdin.close()
        child.succeed()


def stop(child: Child) -> tuple[list[Any], str]:
    """Ctrl-C: what it still prints, and the cursor it tells to resume at."""
    child.signal(signal.SIGINT)
    rest = [json.loads(line) for line in child.rest()]
    assert child.wait() in (0, 130), child.stderr
    resume = RESUME.findall(child.stderr)
    assert len(resume) == 1, f"no cursor on standard error: {child.stderr!r}"
    assert "Traceback" not in child.stderr
    return rest, resume[0]


def check_printed(printed: list[Any], path: Path, appends: int) -> None:
    """Every block, in order, once; and of each writer in its own order."""
    assert [change["block"]["index"] for change in printed] == list(range(appends))
    with ChatStore(path) as store:
        blocks = store.history(CONTEXT).get_messages()
    assert [change["block"] for change in printed] == [block.model_dump(mode="json") for block in blocks]
    for writer in range(WRITERS):
        own = [block.text for block in blocks if block.author == f"w{writer}"]
        assert own == [f"w{writer} {number}" for number in range(len(own))]


@pytest.mark.parametrize(
    "appends",
    [
        600,
        pytest.param(3_000, marks=pytest.mark.slow),
        pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.soak]),
    ],
)
def test_tail_prints_every_block_of_three_processes_once_and_in_order(tmp_path: Path, appends: int) -> None:
    path = tmp_path / "chat.db"
    writing = pacers(path, pause=0)
    following = tail(path, None)
    with running(following, *writing):
        go_on(writing, appends)
        begun = time.monotonic()
        printed = [following.answer() for _ in range(appends)]
        seconds = time.monotonic() - begun
        end(writing)
        assert stop(following) == ([], printed[-1]["cursor"])
    check_printed(printed, path, appends)
    report("tail", blocks=appends, writers=WRITERS, seconds=seconds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("appends", "stops"),
    [(400, 3), pytest.param(10_000, 50, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(400)])],
)
def test_tail_stopped_and_resumed_at_its_printed_cursor_still_prints_each_once(
    tmp_path: Path, appends: int, stops: int
) -> None:
    path = tmp_path / "chat.db"
    rng = random.Random(stops)
    printed: list[Any] = []
    cursor: str | None = None
    writing = pacers(path, pause=0.005)
    with running(*writing):
        for _ in range(stops):
            go_on(writing, appends // (stops + 1))
            with tail(path, cursor) as following:
                printed.append(following.answer())
                time.sleep(rng.uniform(0, 0.3))  # any moment will do
                rest, cursor = stop(following)
            printed += rest
            assert cursor == printed[-1]["cursor"]
        go_on(writing, appends - stops * (appends // (stops + 1)))
        before = len(printed)
        with tail(path, cursor) as following:
            printed += [following.answer() for _ in range(appends - before)]
            assert stop(following) == ([], printed[-1]["cursor"])
        end(writing)
    check_printed(printed, path, appends)
    report("tail resumed", blocks=appends, stops=stops, in_the_last_stretch=appends - before)
