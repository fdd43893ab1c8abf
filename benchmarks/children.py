"""Other processes of a benchmark: a function of this package, run by an interpreter of its own.

Both ends talk in lines of JSON. A process ends when the benchmark has nothing more to say to it.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
END_WITHIN = 10.0


class Line:
    """One end of what a benchmark and a process of it say to each other."""

    def __init__(self, source: IO[str], sink: IO[str]) -> None:
        self._source, self._sink = source, sink

    def send(self, value: object) -> None:
        """Says something to the other end."""
        self._sink.write(json.dumps(value) + "\n")
        self._sink.flush()

    def receive(self) -> Any:
        """What the other end says next. Raises EOFError when it has ended."""
        said = self._source.readline()
        if not said:
            raise EOFError("the other process has ended; what it printed last says why")
        return json.loads(said)

    def ask(self, value: object) -> Any:
        """Says something and waits for the answer."""
        self.send(value)
        return self.receive()


@contextmanager
def child(work: Callable[..., None], *arguments: object) -> Iterator[Line]:
    """A process that runs `work(line, *arguments)`, with the arguments as text; the line to it."""
    command = [sys.executable, "-m", "benchmarks.children", work.__module__, work.__name__, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Line(process.stdout, process.stdin)
        finally:
            process.stdin.close()
            try:
                process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    """The other process."""
    module, name, *arguments = sys.argv[1:]
    work = getattr(importlib.import_module(module), name)
    with suppress(EOFError):
        work(Line(sys.stdin, sys.stdout), *arguments)


if __name__ == "__main__":
    main()
