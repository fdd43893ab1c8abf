"""DBOS streams, in its SQLite system database.

A stream belongs to a workflow and is written from inside it. So a round is a workflow of its own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import material
from benchmarks.measuring import Round, Scale, Unavailable
from benchmarks.stores import directory
from benchmarks.workloads import Start, timed_awaits

NOTE = (
    "each value synced (rollback journal, synchronous=FULL), with a record of the step; a stream belongs to one"
    " workflow and ends with it; values are read by offset and not found by what they are"
)


def streams(*, full: int, quick: int) -> Start:
    """Writes to a stream, each awaited; the seconds of each."""

    @contextmanager
    def start(scale: Scale) -> Iterator[Callable[[], Round]]:
        try:
            from dbos import DBOS
        except ImportError:
            raise Unavailable("dbos is not installed: pip install dbos") from None
        texts = itertools.cycle(material.texts())

        @DBOS.workflow()
        async def write(count: int) -> list[float]:
            return await timed_awaits(
                lambda text: DBOS.write_stream_async("answer", text), itertools.islice(texts, count)
            )

        with directory() as path, asyncio.Runner() as runner:
            url = f"sqlite:///{path / 'dbos.sqlite'}"
            DBOS(config={"name": "benchmark", "system_database_url": url, "log_level": "ERROR"})
            try:
                DBOS.launch()
                yield lambda: {"seconds": runner.run(write(scale.of(full, quick)))}
            finally:
                DBOS.destroy(destroy_registry=True)

    return start
