"""What is written in the benchmarks: real conversations where they lie beside the project, made-up ones elsewhere."""

from __future__ import annotations

import gzip
import itertools
import json
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "data"


@lru_cache(maxsize=1)
def texts() -> tuple[str, ...]:
    """Messages of real conversations between 20 and 2,000 characters, or sentences that are as long on average."""
    found = [text for text in _real() if 20 <= len(text) <= 2_000]
    return tuple(itertools.islice(found, 5_000)) if found else tuple(_made_up())


def source() -> str:
    """Where the texts are from."""
    return "real conversations" if DATA.is_dir() else "made-up sentences"


def _real() -> list[str]:
    found = []
    for path in sorted(DATA.glob("tau_bench*.jsonl.gz")) + sorted(DATA.glob("who_when*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                messages = json.loads(line).get("messages") or []
                found += [one["content"] for one in messages if isinstance(one.get("content"), str)]
    return found


def _made_up() -> list[str]:
    return [f"Sentence {number} of an answer that goes on for a while. " * (1 + number % 9) for number in range(1_000)]
