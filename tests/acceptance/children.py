"""Python processes for the tests here: each runs one script of this folder, answers in lines of JSON, and has a
deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

HERE = Path(__file__).parent
_saying = threading.Lock()


class Child:
    """One process. Its lines are read as they come, so that it never waits for whoever reads them."""

    def __init__(self, command: list[str], *, seconds: float, env: dict[str, str] | None = None) -> None:
        self.name = " ".join(Path(part).name for part in command[:2])
        self.deadline = time.monotonic() + seconds
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_errors)]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What it complained of, once it has ended."""
        return "".join(self.errors)

    def tell(self, line: str = "") -> None:
        """Writes a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def next_line(self, seconds: float | None = None) -> str | None:
        """Its next line; None once there are no more, or after so many seconds."""
        try:
            return self.lines.get(timeout=self._left() if seconds is None else seconds)
        except Empty:
            if seconds is None:
                raise AssertionError(f"{self.name} said nothing until its deadline; {self._last_words()}") from None
            return None

    def answer(self) -> Any:
        """Its next line as JSON."""
        line = self.next_line()
        assert line is not None, f"{self.name} ended without an answer; {self._last_words()}"
        return json.loads(line)

    def rest(self) -> Iterator[str]:
        """All lines that are still to come."""
        while (line := self.next_line()) is not None:
            yield line

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, by its deadline."""
        try:
            code = self.process.wait(self._left())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end by its deadline; {self._last_words()}") from None
        for reader in self._readers:
            reader.join(10)
        return code

    def succeed(self) -> None:
        """Waits for its good end."""
        code = self.wait()
        assert code == 0, f"{self.name} ended with {code}; {self._last_words()}"

    def close(self) -> None:
        """Ends it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.001)

    def _last_words(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)  # faulthandler answers with every thread's stack
            time.sleep(0.5)
        return f"it complained: {self.stderr[-6000:] or 'nothing'}"

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # what a kill cut off was never said
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)


def script(name: str, /, *, seconds: float = 120, warnings: str = "error", **arguments: object) -> Child:
    """Starts a script of this folder with its arguments as JSON."""
    command = [sys.executable, "-X", "faulthandler", "-W", warnings, str(HERE / f"{name}.py")]
    return Child([*command, json.dumps(arguments, default=str)], seconds=seconds)


@contextmanager
def running(*children: Child) -> Iterator[None]:
    """Ends children that a failing test leaves behind."""
    with ExitStack() as stack:
        for child in children:
            stack.enter_context(child)
        yield


def arguments() -> Any:
    """For scripts: what they were started with."""
    return json.loads(sys.argv[1])


def say(value: object) -> None:
    """For scripts: one line to the test, whole or not at all."""
    with _saying:
        os.write(1, f"{json.dumps(value)}\n".encode())
