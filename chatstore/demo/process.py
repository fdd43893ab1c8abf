"""The agent's process, and following what it writes until it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from chatstore.changes import Change
from chatstore.errors import ChatStoreError
from chatstore.history import History

DEADLINE = 30.0
"""Seconds that the agent's process may take; it needs about three."""

# Only Windows has the flag; elsewhere `process_group` does the same.
_NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


class AgentFailed(ChatStoreError):
    """The agent's process failed, or did not end in time."""

    code = "agent_failed"


class AgentProcess:
    """A second process that writes to a history. Leaving the `with` ends it, whatever it is doing."""

    def __init__(self, command: Sequence[str], *, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._overdue = False
        self._watching: threading.Thread | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        # A group of its own: Ctrl-C reaches only the process at the terminal, and that one ends the other.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            creationflags=_NEW_GROUP,
            process_group=0 if os.name == "posix" else None,
        )

    @property
    def id(self) -> int:
        """The process id."""
        return self._process.pid

    def changes(self, history: History) -> Iterator[Change]:
        """What the process writes, as it comes, until it ends."""
        with history.subscribe() as live:
            self._watching = threading.Thread(target=self._close_at_the_end, args=(live.close,), daemon=True)
            self._watching.start()
            yield from live
        # The process may have ended between its last commit and our reading of it.
        yield from history.subscribe(after=live.cursor, follow=False)

    def check(self) -> None:
        """Raises AgentFailed unless the process ended well. Call it when the changes have ended."""
        code = self._process.wait()
        if self._overdue:
            raise AgentFailed(f"the agent's process was not done after {self._deadline:g} s and was ended")
        if code:
            raise AgentFailed(f"the agent's process {_ending(code)}{self._complaint()}")

    def end(self) -> None:
        """Ends the process, and with it the changes. From any thread."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._process.wait()
        if self._watching is not None:
            self._watching.join()
        self._complaints.close()

    def _close_at_the_end(self, close: Callable[[], None]) -> None:
        try:
            self._process.wait(self._deadline)
        except subprocess.TimeoutExpired:
            self._overdue = True
            self._process.kill()
        close()

    def _complaint(self) -> str:
        """The last line that the process wrote to its standard error."""
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").split("\n")
        return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")


def agent_command(location: str, context_id: str, directory: str) -> list[str]:
    """The command that runs the agent. It imports from where this process does: `-P` keeps a file of the current
    directory from standing in for a module, and the environment carries this process's path."""
    return [sys.executable, "-P", "-m", "chatstore.demo.agent", location, context_id, directory]


def _ending(code: int) -> str:
    return f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
