"""The figures of `docs/performance.md`: latency of one thing at a time, and throughput of many at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import Unavailable

LATENCY = ("sync-append", "async-append", "synced-append", "waking")
THROUGHPUT = ("tasks-one-context", "tasks-many-contexts")
OURS, OTHERS = "#1f6f8b", "#b9c4c9"


def draw(measured: Mapping[str, Any], path: Path) -> None:
    """Draws what was measured into an image; raises Unavailable without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise Unavailable("matplotlib is not installed: pip install -e '.[benchmarks]'") from None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "chatstore"  # the same figures give the same file
    from matplotlib import pyplot

    known = {one["name"]: one for one in measured["benchmarks"]}
    panels = [known[name] for name in (*LATENCY, *THROUGHPUT) if name in known]
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(9, 2.4 * len(panels)), layout="constrained", squeeze=False)
    for (axis,), benchmark in zip(axes, panels, strict=True):
        if benchmark["name"] in THROUGHPUT:
            _bars(axis, benchmark, "appends a second", "mean", lambda seconds: 1 / seconds)
        else:
            _bars(axis, benchmark, "µs, median; the line reaches to the 99th percentile", "p50", lambda s: 1e6 * s)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _bars(axis: Any, benchmark: Mapping[str, Any], label: str, statistic: str, shown: Any) -> None:
    ran = {
        name: one["metrics"]["seconds"] for name, one in benchmark["contenders"].items() if "seconds" in one["metrics"]
    }
    names = list(reversed(ran))
    values = [shown(ran[name][statistic][0]) for name in names]
    reach = [max(shown(ran[name]["p99"][0]) - value, 0) for name, value in zip(names, values, strict=True)]
    axis.barh(names, values, color=[OURS if name.startswith("chatstore") else OTHERS for name in names])
    if statistic == "p50":
        axis.errorbar(values, names, xerr=[[0] * len(names), reach], fmt="none", ecolor="#555555", elinewidth=1)
    far_apart = max(values) > 20 * min(values)  # the smallest would not be seen beside the largest
    axis.set_xscale("log") if far_apart else axis.set_xlim(left=0)
    axis.set_title(benchmark["title"], fontsize=9, loc="left")
    axis.set_xlabel(f"{label} (logarithmic)" if far_apart else label, fontsize=8)
    axis.tick_params(labelsize=8)
