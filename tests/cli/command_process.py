"""Commands run in a process of their own."""

from __future__ import annotations

import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

COMMAND = (sys.executable, "-m", "chatstore.cli")
DEADLINE = 30.0


class Process:
    """A command in a process of its own, its lines read as they come."""

    def __init__(self, arguments: list[str | bytes], directory: Path) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
        )
        self._lines: dict[str, queue.Queue[str | None]] = {"out": queue.Queue(), "err": queue.Queue()}
        pipes: dict[str, IO[bytes] | None] = {"out": self._process.stdout, "err": self._process.stderr}
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True) for name, pipe in pipes.items() if pipe
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self._lines[name].put(line.decode().removesuffix("\n"))
        self._lines[name].put(None)

    def line(self, of: str = "out") -> str:
        """The next line, once it is there."""
        line = self._lines[of].get(timeout=DEADLINE)
        assert line is not None, f"std{of} ended"
        return line

    def rest(self, of: str = "out") -> list[str]:
        """All lines from here to the end of the output."""
        return list(iter(lambda: self._lines[of].get(timeout=DEADLINE), None))

    def send(self, number: int) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it ended."""
        return self._process.wait(DEADLINE)

    def stop(self, number: int = signal.SIGINT) -> tuple[list[str], list[str], int]:
        """Sends a signal; what was printed since on each side, and the exit code."""
        self.send(number)
        return self.rest("out"), self.rest("err"), self.wait()

    def kill(self) -> None:
        """Ends it in any case."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CHATSTORE_STORE", "FORCE_COLOR")}
    return {**kept, "PYTHONUTF8": "1"}


def resume_arguments(stderr: list[str]) -> list[str]:
    """The arguments of the command that the last line offers."""
    offer, _, command = stderr[-1].partition(": ")
    program, *arguments = shlex.split(command)
    assert (offer, program) == ("resume with", "chatstore")
    return arguments
