"""The tables of `docs/scaling.md`, from a model and what was measured: `python -m benchmarks.scaling [--plot FILE]`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.measuring import Unavailable
from benchmarks.plot import OTHERS, OURS
from benchmarks.scaling_model import Costs, FileCosts, Outcome, Setting, Sizes, simulate

PLOT: Final = Path("docs/scaling.svg")
COSTS, FILE, SIZES = Costs(), FileCosts(), Sizes()
DAY: Final = 86_400


class Point(NamedTuple):
    """Appends a second that were measured; `fitted`: a constant of the model comes from it."""

    what: str
    setting: Setting | int
    """A setting on a server; or how many in a transaction, in a file."""
    measured: float
    fitted: bool


POINTS: Final = (
    Point("1 process, 1 task (`groups`)", Setting(1, 1), 1_375, True),
    Point("1 process, 10 tasks (`groups`)", Setting(1, 10), 9_174, True),
    Point("1 process, 100 tasks (`groups`)", Setting(1, 100), 21_251, True),
    Point("2 processes, 50 tasks each (`spread`)", Setting(2, 50), 25_391, False),
    Point("4 processes, 25 tasks each (`spread`)", Setting(4, 25), 24_099, True),
    Point("one history, 2 processes, 50 tasks each (`hot`)", Setting(2, 50, shared=True), 30_091, True),
    Point("one history, 4 processes, 25 tasks each (`hot`)", Setting(4, 25, shared=True), 16_875, False),
    Point("one history, 4 processes, 1 task each (`hot`)", Setting(4, 1, shared=True), 1_469, True),
    Point("one history, 8 processes, 1 task each (`hot`)", Setting(8, 1, shared=True), 1_244, False),
    Point("file, 1 process, 1 task (`files`)", 1, 3_261, True),
    Point("file, 1 process, 10 tasks (`files`)", 10, 13_346, False),
    Point("file, 1 process, 100 tasks (`files`)", 100, 15_632, True),
    Point("file, 2 processes, 50 tasks each (`files`)", 50, 16_087, False),
    Point("file, 8 processes, 1 task each (`files`)", 1, 2_422, False),
)


def far(processes: int, tasks: int, *, shared: bool = False) -> Setting:
    """A server that is supposed: 16 cores of this kind, 0.3 ms away, with this disk."""
    return Setting(processes, tasks, shared, cores=16, apart=True, trip=300.0)


@cache
def outcome(setting: Setting) -> Outcome:
    """What the model says of a setting."""
    return simulate(setting, COSTS, seconds=0.5)


def of_point(point: Point) -> float:
    """The appends a second that the model says for a point."""
    return FILE.appends(point.setting) if isinstance(point.setting, int) else outcome(point.setting).appends


def validation() -> str:
    """What was measured beside what the model says."""
    rows = []
    for point in POINTS:
        said = of_point(point)
        error = f"{100 * (said / point.measured - 1):+.0f} %"
        rows.append(
            (point.what, _round(point.measured), _round(said), error, "fitted" if point.fitted else "predicted")
        )
    return _table(("appends a second", "measured", "model", "error", ""), rows)


def server() -> str:
    """Processes on machines of their own, each on histories of its own."""
    rows = []
    for processes in (1, 4, 16, 64):
        one = outcome(far(processes, 25))
        log = one.appends * COSTS.log / 1e6
        rows.append(
            (
                processes,
                _round(one.appends),
                _round(one.commits),
                _round(one.notices),
                f"{100 * one.busy:.0f} %",
                _round(log),
            )
        )
    head = ("processes", "appends/s", "commits/s", "notices/s", "server's cores in use", "WAL, MB/s")
    return _table(head, rows)


def disks() -> str:
    """The same with disks that take longer to sync; and a lone caller beside the server."""
    rows = []
    for sync in (COSTS.sync, 1_000.0, 5_000.0):
        costs = replace(COSTS, sync=sync)
        alone = simulate(Setting(1, 1), costs, seconds=0.5)
        found = (alone, *(simulate(far(processes, 25), costs, seconds=0.5) for processes in (1, 4, 16)))
        rows.append((f"{sync / 1_000:.1f} ms", *(_round(one.appends) for one in found)))
    return _table(("a sync takes", "a lone caller", "1 process", "4 processes", "16 processes"), rows)


def hot() -> str:
    """All of them on one history."""
    rows = []
    for processes, tasks in ((1, 1), (4, 1), (16, 25)):
        near = Setting(processes, tasks, shared=True, cores=16, apart=True)
        both = (near, far(processes, tasks, shared=True))
        rows.append((processes, tasks, *(_round(value) for one in both for value in outcome(one)[1::-1])))
    head = ("processes", "tasks each", "commits/s, beside", "appends/s", "commits/s, 0.3 ms away", "appends/s")
    return _table(head, rows)


def fan_out() -> str:
    """What waking takes if no notices are joined; a process sends 500 a second at most."""
    most = 1e6 / COSTS.gather
    rows = []
    for processes, each in ((4, most), (16, 100), (16, most), (64, 10), (64, 100)):
        notices = processes * each
        server = notices * processes * COSTS.wake / 1e6
        rows.append(
            (processes, _round(each), _round(notices * processes), f"{server:.2g}", f"{notices * COSTS.hear / 1e6:.2g}")
        )
    head = ("processes", "notices/s of each", "wake-ups/s", "cores of the server", "core of each process")
    return _table(head, rows)


def sizes() -> str:
    """What messages of a day take."""
    rows = []
    streamed = SIZES.log_of_token * SIZES.tokens + SIZES.log_of_append
    for messages in (100_000, 1_000_000, 10_000_000):
        found = (SIZES.block_in_file, SIZES.block_on_server, SIZES.log_of_append, streamed)
        rows.append((_round(messages), _round(messages / DAY), *(_bytes(messages * one) for one in found)))
    head = ("messages a day", "a second, on average", "file", "server", "WAL, appended whole", "WAL, streamed")
    return _table(head, rows)


TABLES: Final = (validation, server, disks, hot, fan_out, sizes)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _round(value: float) -> str:
    """To three digits, as more would say what nobody knows."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def _bytes(value: float) -> str:
    for unit in ("kB", "MB", "GB"):
        value /= 1_000
        if value < 1_000:
            return f"{value:.2g} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return f"{value / 1_000:.2g} TB"


def draw(path: Path) -> None:
    """Draws the model, with what was measured as points; raises Unavailable without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise Unavailable("matplotlib is not installed: pip install -e '.[benchmarks]'") from None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "chatstore"  # the same figures give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, figsize=(9, 9), layout="constrained")
    _groups(axes[0])
    _processes(axes[1])
    _waking(axes[2])
    for axis in axes:
        axis.tick_params(labelsize=8)
        axis.legend(fontsize=8, frameon=False)
        axis.set_ylim(bottom=0)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _groups(axis: Any) -> None:
    tasks = (1, 2, 5, 10, 20, 50, 100)
    axis.plot(tasks, [outcome(Setting(1, one)).appends for one in tasks], color=OURS, label="PostgreSQL, model")
    axis.plot(tasks, [FILE.appends(one) for one in tasks], color=OTHERS, label="file, model")
    on_server = [
        p for p in POINTS if isinstance(p.setting, Setting) and p.setting.processes == 1 and not p.setting.shared
    ]
    axis.plot([p.setting.tasks for p in on_server], [p.measured for p in on_server], "o", color=OURS, label="measured")  # type: ignore[union-attr]
    in_file = [p for p in POINTS if isinstance(p.setting, int) and "1 process" in p.what]
    axis.plot([p.setting for p in in_file], [p.measured for p in in_file], "s", color=OTHERS, label="measured")
    _title(axis, "One process on this machine: appends in each commit", "tasks", "appends a second")


def _processes(axis: Any) -> None:
    numbers = (1, 2, 4, 8, 16, 32, 64)
    own = [outcome(far(one, 25)).appends for one in numbers]
    shared = [outcome(far(one, 25, shared=True)).appends for one in numbers]
    axis.plot(numbers, own, color=OURS, label="histories of their own")
    axis.plot(numbers, shared, color=OURS, linestyle="dashed", label="all on one history")
    axis.axhline(1e6 * COSTS.disk / COSTS.log, color=OTHERS, label="what the disk takes of the log")
    _title(axis, "On paper: processes of 25 tasks, a server of 16 cores 0.3 ms away", "processes", "appends a second")


def _waking(axis: Any) -> None:
    numbers = (1, 2, 4, 8, 16, 32, 64)
    for each, line in ((10, "dotted"), (100, "dashed"), (500, "solid")):
        heard = [one * each * COSTS.hear / 1e6 for one in numbers]
        axis.plot(
            numbers,
            [min(one, 1.0) for one in heard],
            color=OURS,
            linestyle=line,
            label=f"{each} notices a second of each",
        )
    _title(
        axis, "On paper: what each process takes to hear the others, if no notices are joined", "processes", "of a core"
    )


def _title(axis: Any, title: str, across: str, up: str) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel(across, fontsize=8)
    axis.set_ylabel(up, fontsize=8)


def main() -> None:
    """Prints every table, and draws."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE", nargs="?", const=PLOT, help=f"draw it into FILE ({PLOT})")
    given = parser.parse_args()
    for table in TABLES:
        print(f"{table.__doc__}\n\n{table()}\n")
    if given.plot:
        try:
            draw(given.plot)
        except Unavailable as missing:
            parser.error(str(missing))


if __name__ == "__main__":
    main()
