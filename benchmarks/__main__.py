"""`python -m benchmarks [NAME …] [--quick] [--json FILE] [--plot]`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks import plot, report
from benchmarks.catalogue import BENCHMARKS
from benchmarks.measuring import Benchmark, Result, Scale, Unavailable, run

PLOT = Path("docs/performance.svg")


def main() -> None:
    """Runs the benchmarks that were named, or all, and says of every goal whether it holds."""
    parser = _parser()
    given = parser.parse_args()
    chosen = [one for one in BENCHMARKS if not given.names or any(map(one.is_called, given.names))]
    if unknown := [name for name in given.names if not any(one.is_called(name) for one in chosen)]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(one.name for one in BENCHMARKS)}")
    if given.plot and not given.names and given.json and given.json.exists():
        measured = json.loads(given.json.read_text())
    else:
        measured = _run(chosen, Scale(given.quick), given.json)
    if given.plot:
        try:
            plot.draw(measured, given.plot)
        except Unavailable as missing:
            parser.error(str(missing))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(one.name for one in BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="few and short rounds, to see that everything runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    drawn = f"draw latency and throughput into FILE ({PLOT}); with --json, and no NAME, from what that file holds"
    parser.add_argument("--plot", type=Path, metavar="FILE", nargs="?", const=PLOT, help=drawn)
    return parser


def _run(chosen: list[Benchmark], scale: Scale, file: Path | None) -> dict[str, object]:
    begun = time.monotonic()
    results: list[Result] = []
    for benchmark in chosen:
        results.append(run(benchmark, scale, _progress))
        _progress("")
        print(report.text(results[-1]), flush=True)
    print(f"\n{report.table(results)}\n\n{len(results)} benchmarks in {time.monotonic() - begun:.0f} s")
    if file is not None:
        report.write_json(file, results)
    return report.measured(results)


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
