"""The lives of a worker: started, told what to do, killed in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, Self

ANSWER_WITHIN = 60.0
"""Seconds after which a worker that does not answer has failed the test."""


class Refused(Exception):
    """The store raised one of its errors: `name` is its class, `said` its message, `head` what a Conflict tells."""

    def __init__(self, name: str, said: str, head: str | None) -> None:
        super().__init__(name)
        self.name = name
        self.said = said
        self.head = head


class Lives:
    """One worker after the other, each another process on the same files."""

    def __init__(self, face: str, warm: str) -> None:
        self._directory = tempfile.TemporaryDirectory()
        address = str(Path(self._directory.name) / "s")  # short: the path of a socket has 108 bytes at most
        self._listener = Listener(address)
        script = str(Path(__file__).with_name("worker.py"))
        self._parent = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-W", "error", script, address, face, warm],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._worker: Connection[Any, Any] | None = None
        self._pid = 0
        self.count = self.told = 0

    def tell(self, name: str, *values: Any, **named: Any) -> Any:
        """Has the worker do something; raises Refused where the store refuses it."""
        self.send(name, *values, **named)
        return self.answer(name)

    def tell_each(self, name: str, *values: Any, **named: Any) -> list[Any]:
        """The answers of all stores that work side by side: here it is one."""
        return [self.tell(name, *values, **named)]

    def answer(self, name: str) -> Any:
        """The answer to what was sent."""
        assert self._worker is not None
        assert self._worker.poll(ANSWER_WITHIN), f"no answer to {name} within {ANSWER_WITHIN} s"
        result, *answer = self._worker.recv()
        if result == "refused":
            raise Refused(*answer)
        assert result == "done", f"{name}: {answer[0]}"
        return answer[0]

    def send(self, name: str, *values: Any, **named: Any) -> None:
        """Tells the worker, and does not wait for it."""
        if self._worker is None:
            self._begin()
        assert self._worker is not None
        self.told += 1
        self._worker.send((name, values, named))

    def kill(self, after: float = 0.0) -> None:
        """Ends the worker by SIGKILL, after so many seconds; returns once the process is gone."""
        if self._worker is None:
            return
        time.sleep(after)
        os.kill(self._pid, signal.SIGKILL)
        assert self._parent.stdout is not None
        assert self._parent.stdout.readline() == "gone\n"
        self._worker.close()
        self._worker = None

    def _begin(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write("live\n")
        self._parent.stdin.flush()
        self._worker = self._listener.accept()
        self.count += 1
        self._pid = self.tell("pid")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._parent.communicate(timeout=30)
        self._listener.close()
        self._directory.cleanup()
