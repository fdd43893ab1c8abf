"""Figures that a test gives beside its verdict, as values by name."""

from __future__ import annotations

from collections.abc import Sequence

import data_support


def report(title: str, **values: object) -> None:
    """One line of figures."""
    shown = (f"{name.replace('_', ' ')} {_text(value)}" for name, value in values.items())
    data_support.report(f"{title}: {', '.join(shown)}")


def latencies(seconds: Sequence[float]) -> dict[str, str]:
    """Median, 99th percentile and maximum of times, in milliseconds."""
    ordered = sorted(seconds)
    at = {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}
    return {name: f"{value * 1000:.2f} ms" for name, value in at.items()}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
