"""Whatever many processes create at once, they get one of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checker import check_numbers
from children import Child, running, script
from figures import report

from chatstore import ChatStore

pytestmark = pytest.mark.slow

HEAD_START = 0.005
"""Seconds between the call to start and the start, so that the last rival has heard it too."""

rounds = pytest.mark.parametrize(
    ("processes", "rounds"),
    [(3, 6), pytest.param(8, 100, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)


def race(rivals: list[Child], rounds: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """What each rival got, round by round."""
    for rival in rivals:
        assert rival.answer() == "ready"
    for round in range(rounds):
        start = time.monotonic_ns() + int(HEAD_START * 1e9)
        for rival in rivals:
            rival.tell(f"{round} {start}")
        got = [rival.answer() for rival in rivals]
        assert not [one for one in got if "error" in one], f"round {round}: {got}"
        yield round, got


def rivals_for(race: str, path: Path, count: int) -> list[Child]:
    faces = ("sync", "async")
    return [
        script("racer", seconds=200, race=race, path=path, name=f"p{number}", face=faces[number % 2])
        for number in range(count)
    ]


@rounds
def test_processes_that_create_the_same_context_get_one_history(tmp_path: Path, processes: int, rounds: int) -> None:
    path = tmp_path / "chat.db"
    ChatStore(path).close()
    rivals = rivals_for("context", path, processes)
    with running(*rivals):
        for _, got in race(rivals, rounds):
            assert len({one["context"] for one in got}) == 1
            assert sorted(one["index"] for one in got) == list(range(processes))
    with ChatStore(path) as store:
        contexts = store.contexts()
        assert len(contexts) == rounds
        assert {context.count for context in contexts} == {processes}
        assert [bool(context.keys) for context in contexts] == [round % 2 == 0 for round in range(rounds)]
        assert len(store.contexts(keys={"channel": "web"})) == (rounds + 1) // 2
    check_numbers(path)
    report("creating one context", processes=processes, rounds=rounds, histories=len(contexts))


@rounds
def test_processes_that_create_the_same_store_get_one_file(tmp_path: Path, processes: int, rounds: int) -> None:
    rivals = rivals_for("store", tmp_path / "chat.db", processes)
    rounds = (rounds + 1) // 2
    with running(*rivals):
        for round, got in race(rivals, rounds):
            path = tmp_path / f"chat.db-{round}"
            assert len({one["identity"] for one in got}) == 1
            with ChatStore(path, create=False) as store:
                stored = {block.id: block.index for block in store.history("first").get_messages()}
            assert {one["id"]: one["index"] for one in got} == stored
            assert sorted(stored.values()) == list(range(processes))
            assert path.stat().st_mode & 0o777 == 0o600
            check_numbers(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"chat.db-{round}" for round in range(rounds))
    report("creating one store", processes=processes, rounds=rounds)
