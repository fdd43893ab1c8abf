"""Python processes for the tests here: each runs one module of this package and speaks in lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

ACCEPTANCE = Path(__file__).resolve().parents[1]
_saying = threading.Lock()


class Process:
    """One process. Its lines are read as they come, so that it never waits for whoever reads them."""

    def __init__(
        self,
        module: str,
        /,
        *,
        seconds: float = 60,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **arguments: object,
    ) -> None:
        self.name = module
        self.deadline = time.monotonic() + seconds
        self.errors: list[str] = []
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        paths = [str(ACCEPTANCE), str(ACCEPTANCE.parent), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-X", "faulthandler", "-W", "error", "-m", f"growing.{module}", _json(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})},
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def tell(self, value: object = None) -> None:
        """Writes a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{_json(value)}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Its next line, by its deadline."""
        try:
            line = self._lines.get(timeout=self._left())
        except Empty:
            raise AssertionError(f"{self.name} said nothing until its deadline; {self.last_words()}") from None
        assert line is not None, f"{self.name} ended without an answer; {self.last_words()}"
        return json.loads(line)

    def rest(self) -> list[Any]:
        """All that it says until it ends."""
        said = []
        while (line := self._lines.get(timeout=self._left())) is not None:
            said.append(json.loads(line))
        return said

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> float:
        """Kills it as `kill -9` does; when."""
        at = time.monotonic()
        self.process.kill()
        self.process.wait(self._left())
        return at

    def succeed(self) -> None:
        """Waits for its good end."""
        try:
            code = self.process.wait(self._left())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end by its deadline; {self.last_words()}") from None
        assert code == 0, f"{self.name} ended with {code}; {self.last_words()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def _left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.001)

    def last_words(self) -> str:
        """What it wrote to its standard error; it is ended, if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)  # faulthandler answers with every thread's stack
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        for reader in self._readers:
            reader.join(5)
        return f"it complained: {''.join(self.errors)[-6000:] or 'nothing'}"

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # what a kill cut off was never said
                self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)


def arguments() -> Any:
    """For a process: what it was started with."""
    return json.loads(sys.argv[1])


def say(value: object) -> None:
    """For a process: one line to the test, whole or not at all."""
    with _saying:
        os.write(1, f"{_json(value)}\n".encode())


def heard() -> Any:
    """For a process: the next line from the test; None when it says no more."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _json(value: object) -> str:
    return json.dumps(value, default=str)
