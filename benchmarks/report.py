"""Results as text and as JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Result, Verdict


def text(result: Result) -> str:
    """A benchmark's figures and how its goals came out."""
    lines = [f"\n{result.benchmark.name}: {result.benchmark.title}"]
    for contender in result.benchmark.contenders:
        if contender.name in result.missing:
            lines.append(f"  {contender.name:<34} NOT RUN: {result.missing[contender.name]}")
            continue
        for metric, (unit, factor) in result.benchmark.units.items():
            if metric in result.rounds[contender.name][0]:
                lines.append(f"  {contender.name:<34} {_figures(result, contender.name, metric, unit, factor)}")
        if contender.note:
            lines.append(f"  {'':<34} ({contender.note})")
    lines += [f"  {_line(verdict)}" for verdict in result.verdicts()]
    return "\n".join(lines)


def _figures(result: Result, name: str, metric: str, unit: str, factor: float) -> str:
    shown = []
    only_one = all(len(one[metric]) == 1 for one in result.rounds[name])  # then every statistic is the same
    for statistic in result.benchmark.shown[: 1 if only_one else None]:
        middle, low, high = (factor * value for value in result.summary(name, metric, statistic))
        figures = f"{_short(middle)} ({_short(low)}-{_short(high)})"
        shown.append(figures if only_one else f"{statistic} {figures}")
    label = "" if metric == "seconds" else f"{metric} "
    return f"{label}{', '.join(shown)} {unit}"


def _line(verdict: Verdict) -> str:
    goal = verdict.goal
    bound = f"at most {goal.at_most:g}" if goal.at_most is not None else f"at least {goal.at_least:,g}"
    if verdict.value is None:
        return f"[not measured] {goal.says}: {bound}"
    word = "holds" if verdict.holds else "SHORT"
    spread = f"{_short(verdict.low)}-{_short(verdict.high)}"
    return f"[{word}] {goal.says}: {_short(verdict.value)} ({spread}); {bound}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(results: Sequence[Result]) -> str:
    """Every goal in one line each, and then who could not be compared with."""
    lines = [_line(verdict) for result in results for verdict in result.verdicts()]
    lines += [
        f"NOT RUN in {result.benchmark.name}: {name}: {why}"
        for result in results
        for name, why in result.missing.items()
    ]
    return "\n".join(lines)


def write_json(path: Path, results: Iterable[Result]) -> None:
    """Everything that was measured, with the machine it was measured on."""
    path.write_text(json.dumps(measured(results), indent=1))


def measured(results: Iterable[Result]) -> dict[str, Any]:
    """The same, to be written or drawn."""
    return {"machine": _machine(), "benchmarks": [_as_json(one) for one in results]}


def _machine() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }


def _as_json(result: Result) -> dict[str, Any]:
    benchmark = result.benchmark
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "units": {metric: {"unit": unit, "factor": factor} for metric, (unit, factor) in benchmark.units.items()},
        "contenders": {
            one.name: {
                "note": one.note,
                "missing": result.missing.get(one.name),
                "metrics": {} if one.name in result.missing else _metrics(result, one.name),
            }
            for one in benchmark.contenders
        },
        "goals": [
            {
                "says": verdict.goal.says,
                "at_most": verdict.goal.at_most,
                "at_least": verdict.goal.at_least,
                "value": verdict.value,
                "low": verdict.low,
                "high": verdict.high,
                "holds": verdict.holds,
            }
            for verdict in result.verdicts()
        ],
    }


def _metrics(result: Result, name: str) -> dict[str, dict[str, list[float]]]:
    """Each statistic with its median, least and most over the rounds."""
    return {
        metric: {statistic: [*result.summary(name, metric, statistic)] for statistic in ("mean", "p50", "p99", "max")}
        for metric in result.rounds[name][0]
    }
