"""Starting: `import chatstore` beside what it is built on, and `chatstore --help`, each in a new interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.children import ROOT
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale


@contextmanager
def _interpreter(arguments: tuple[str, ...], scale: Scale) -> Iterator[Callable[[], Round]]:
    yield partial(_round, arguments, scale.of(3, 1))


def _round(arguments: tuple[str, ...], starts: int) -> Round:
    """Each start beside one of an interpreter that does nothing."""
    whole, own = [], []
    for _ in range(starts):
        empty = _seconds(("-c", "pass"))
        whole.append(_seconds(arguments))
        own.append(whole[-1] - empty)
    return {"seconds": whole, "less an empty interpreter": own}


def _seconds(arguments: tuple[str, ...]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


BENCHMARKS = (
    Benchmark(
        "starting",
        "a new interpreter, until it has imported chatstore or printed the command's help",
        (
            Contender("chatstore", partial(_interpreter, ("-c", "import chatstore"))),
            Contender("SQLAlchemy and pydantic", partial(_interpreter, ("-c", "import sqlalchemy, pydantic"))),
            Contender("chatstore --help", partial(_interpreter, ("-m", "chatstore", "--help"))),
        ),
        (
            Goal("import chatstore, × what it is built on", "SQLAlchemy and pydantic", statistic="p50", at_most=2.0),
            Goal("chatstore --help, in s", of="chatstore --help", statistic="p50", at_most=0.5),
        ),
        {"seconds": ("ms", 1e3), "less an empty interpreter": ("ms", 1e3)},
        ("p50", "max"),
    ),
)
