"""Real conversations and edge cases, kept beside the checkout; tests that need them are skipped where they are not."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FIGURE = "figure: "
"""What lines begin with that tests print and the end of a run repeats."""
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_files(pattern: str) -> list[Path]:
    """The files of this name. Skips the test where there are none, and fails it where CI has to have them."""
    files = sorted(DATA.glob(pattern))
    if not files:
        missing = f"no {pattern} in {DATA}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return files


def conversation_files() -> list[Path]:
    """The files of real conversations."""
    return [file for file in data_files("*.jsonl.gz") if not file.name.startswith("edge_cases")]


def records(file: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of gzip'd JSON Lines."""
    with gzip.open(file) as lines:
        yield from map(json.loads, lines)


def canonical(value: object) -> str:
    """A JSON value as text that is equal for equal values alone: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def report(*lines: str) -> None:
    """Figures of a test; the end of the run shows them."""
    print("", *(f"{FIGURE}{line}" for line in lines), sep="\n")
