"""Every benchmark, in the order of the table of goals."""

from __future__ import annotations

from benchmarks import (
    appending,
    concurrent,
    contexts,
    fan_out,
    idling,
    importing,
    postgres,
    reading,
    recording,
    remote,
    serving,
    starting,
    syncing,
    tokens,
    waking,
)
from benchmarks.measuring import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    *appending.BENCHMARKS,
    *concurrent.BENCHMARKS,
    *tokens.BENCHMARKS,
    *recording.BENCHMARKS,
    *syncing.BENCHMARKS,
    *importing.BENCHMARKS,
    *waking.BENCHMARKS,
    *fan_out.BENCHMARKS,
    *idling.BENCHMARKS,
    *serving.BENCHMARKS,
    *remote.BENCHMARKS,
    *reading.BENCHMARKS,
    *contexts.BENCHMARKS,
    *starting.BENCHMARKS,
    *postgres.BENCHMARKS,
)
