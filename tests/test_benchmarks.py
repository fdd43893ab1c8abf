"""The benchmarks run, say of each goal whether it holds, and say loudly what was not run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks.measuring import Benchmark, Contender, Goal, Result, Round, Scale, Verdict, summarise
from benchmarks.report import text

ROOT = Path(__file__).parents[1]


def never(scale: Scale) -> AbstractContextManager[Callable[[], Round]]:
    raise AssertionError("it is not to be started")


def test_a_ratio_is_taken_round_by_round() -> None:
    goals = (Goal("cost", "them", at_most=2.0), Goal("rate", "them", at_least=0.4), Goal("alone", at_most=3.0))
    contenders = [Contender(name, never) for name in ("chatstore", "them")]
    result = Result(Benchmark("name", "title", contenders, goals))
    result.rounds = {
        "chatstore": [{"seconds": [2.0]}, {"seconds": [4.0]}, {"seconds": [3.0]}],
        "them": [{"seconds": [1.0]}, {"seconds": [1.0]}, {"seconds": [2.0]}],
    }
    cost, rate, alone = result.verdicts()
    assert (cost.value, cost.low, cost.high, cost.holds) == (2.0, 1.5, 4.0, True)
    assert (rate.value, rate.holds) == (0.5, True)
    assert (alone.value, alone.holds) == (3.0, True)
    assert Verdict(goals[0], 2.01).holds is False


def test_what_did_not_run_is_said_and_holds_nothing() -> None:
    goal = Goal("cost", "them", at_most=2.0)
    contenders = [Contender(name, never) for name in ("chatstore", "them")]
    result = Result(Benchmark("name", "title", contenders, (goal,)), {"chatstore": [{"seconds": [1.0]}]})
    result.missing["them"] = "install it"
    assert result.verdicts() == [
        Verdict(goal, None, pytest.approx(float("nan"), nan_ok=True), pytest.approx(float("nan"), nan_ok=True))
    ]
    assert "NOT RUN: install it" in text(result)
    assert "[not measured] cost" in text(result)


def test_statistics() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [summarise(values, which) for which in ("mean", "p50", "p99", "max")] == [50.5, 50.0, 99.0, 100.0]


@pytest.mark.slow
@pytest.mark.timed
def test_a_benchmark_runs_and_writes_what_it_measured(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks", "sync-append", "synced-append", "--quick", "--json", str(file)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert ran.returncode == 0, ran.stderr
    sync, synced = json.loads(file.read_text())["benchmarks"]
    assert (sync["name"], synced["name"]) == ("sync-append", "synced-append")
    costs = {name: one["metrics"]["seconds"]["mean"] for name, one in sync["contenders"].items() if one["metrics"]}
    middle, low, high = costs["chatstore, token"]
    assert 0 < low <= middle <= high
    assert middle > costs["plain sqlite3, not synced"][0], "it does what plain SQLite does, and more"
    goals = [goal for one in (sync, synced) for goal in one["goals"]]
    assert any(goal["holds"] is not None for goal in goals)
    for goal in goals:
        assert goal["says"] in ran.stdout
