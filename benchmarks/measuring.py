"""How everything here is measured: contenders take turns, round by round, and what counts is their ratio.

A figure in seconds says as much about the machine as about the code. So in each round every contender does the same
work once, one after the other, and a goal is a ratio of two of them, taken round by round: whatever else the machine
does meets both. The first round warms up and is thrown away. Every other round goes through the contenders backwards,
and before each turn the disk gets what was written so far: nobody waits for what another one left to be done.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Round: TypeAlias = Mapping[str, Sequence[float]]
"""What one round of a contender measured: costs by metric, each in its base unit (seconds, bytes, shares)."""
Statistic: TypeAlias = Literal["mean", "p50", "p99", "max"]

WARM_UP = 1


class Unavailable(Exception):
    """A contender that cannot run on this machine; says what is missing."""


@dataclass(frozen=True)
class Scale:
    """How much is measured: `quick` is for seeing that everything runs, full rounds are for figures."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """Rounds that count."""
        return 3 if self.quick else 7

    def of(self, full: int, quick: int) -> int:
        """One number or the other."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Contender:
    """One way to do a benchmark's work: `start` gives a function that does one round of it.

    `note` says what is different about it: what it does not do, what it does not promise.
    """

    name: str
    start: Callable[[Scale], AbstractContextManager[Callable[[], Round]]]
    note: str = ""


@dataclass(frozen=True)
class Goal:
    """A line that is to hold: the cost of `of`, divided by that of `to` where there is one, is at most `at_most`;
    or the rate of `of` (the inverse of a cost), as a multiple of that of `to`, is at least `at_least`."""

    says: str
    to: str | None = None
    of: str = "chatstore"
    metric: str = "seconds"
    statistic: Statistic = "mean"
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """Work that several contenders do; `units` says how a metric is printed: its name and what to multiply by."""

    name: str
    title: str
    contenders: Sequence[Contender]
    goals: Sequence[Goal]
    units: Mapping[str, tuple[str, float]] = field(default_factory=lambda: {"seconds": ("µs", 1e6)})
    shown: Sequence[Statistic] = ("mean", "p50", "p99")

    def is_called(self, name: str) -> bool:
        """Whether a name is this one's, or that of all that begin like it."""
        return self.name == name or self.name.startswith(f"{name}-")


@dataclass(frozen=True)
class Verdict:
    """A goal and what was measured for it: the median over the rounds, the least, the most. None: not measured."""

    goal: Goal
    value: float | None
    low: float = math.nan
    high: float = math.nan

    @property
    def holds(self) -> bool | None:
        """Whether the median keeps the bound."""
        if self.value is None:
            return None
        if self.goal.at_most is not None:
            return self.value <= self.goal.at_most
        assert self.goal.at_least is not None
        return self.value >= self.goal.at_least


@dataclass
class Result:
    """What a benchmark measured: the rounds of each contender that ran, and why the others did not."""

    benchmark: Benchmark
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def summary(self, contender: str, metric: str, statistic: Statistic) -> tuple[float, float, float]:
        """Median, least and most of a statistic over the rounds."""
        values = [summarise(one[metric], statistic) for one in self.rounds[contender]]
        return statistics.median(values), min(values), max(values)

    def verdicts(self) -> list[Verdict]:
        """How each goal came out."""
        return [self._verdict(goal) for goal in self.benchmark.goals]

    def _verdict(self, goal: Goal) -> Verdict:
        if goal.of not in self.rounds or (goal.to is not None and goal.to not in self.rounds):
            return Verdict(goal, None)
        values = []
        others = self.rounds[goal.to] if goal.to is not None else [None] * len(self.rounds[goal.of])
        for ours, theirs in zip(self.rounds[goal.of], others, strict=True):
            cost = summarise(ours[goal.metric], goal.statistic)
            if theirs is not None:
                cost /= summarise(theirs[goal.metric], goal.statistic)
            values.append(cost if goal.at_most is not None else 1 / cost)
        return Verdict(goal, statistics.median(values), min(values), max(values))


def summarise(values: Sequence[float], statistic: Statistic) -> float:
    """One statistic of the values of a round."""
    if statistic == "mean":
        return statistics.fmean(values)
    if statistic == "max":
        return max(values)
    ordered = sorted(values)
    share = 0.5 if statistic == "p50" else 0.99
    return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1]


def run(benchmark: Benchmark, scale: Scale, progress: Callable[[str], None]) -> Result:
    """Runs every contender that can, in turns."""
    result = Result(benchmark)
    with ExitStack() as stack:
        rounds: dict[str, Callable[[], Round]] = {}
        for contender in benchmark.contenders:
            progress(f"{benchmark.name}: starting {contender.name}")
            try:
                rounds[contender.name] = stack.enter_context(contender.start(scale))
            except Unavailable as missing:
                result.missing[contender.name] = str(missing)
        for number in range(WARM_UP + scale.rounds):
            for name, one in list(rounds.items())[:: 1 if number % 2 else -1]:
                progress(f"{benchmark.name}: round {number} of {scale.rounds}, {name}")
                _settle()
                measured = one()
                if number >= WARM_UP:
                    result.rounds.setdefault(name, []).append(measured)
    return result


def _settle() -> None:
    gc.collect()
    if hasattr(os, "sync"):
        os.sync()
