"""Workers that are forked from a process which has imported everything, each with an strace that is attached to it.

To start Python and to import takes ten times what a worker does.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from faults import processes

GO = signal.SIGUSR1
SECONDS = 60
ANYONE = ctypes.c_ulong(-1)
PR_SET_PTRACER = 0x59616D61


class Mother:
    """Has workers forked, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, strace: Sequence[str], **arguments: object) -> list[Any]:
        """Runs a worker to its good end; what it said."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(arguments, default=str)}\n")
        self._process.stdin.flush()
        pid = self._answer()
        with subprocess.Popen([*strace, "-p", str(pid)], stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            attached = tracer.stderr.readline()
            os.kill(pid, GO)
            said = [*iter(self._answer, "ended")]
            errors = tracer.stderr.read()
        assert "attached" in attached, attached + errors
        assert (code := self._answer()) == 0, f"it ended with {code}: {said} {self._last_words()}"
        return said

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._last_words()
        return json.loads(line)

    def _last_words(self) -> str:
        return self._process.communicate(timeout=SECONDS)[1][-4000:]


@contextmanager
def mother(module: str) -> Iterator[Mother]:
    """A module of this package that calls `give_birth`."""
    with processes.start(module) as process:
        yield Mother(process)


def give_birth(live: Callable[[Any], None]) -> None:
    """For a process: forks for each line of its input, and has the child live once it is looked at."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {GO})
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE)  # not only by its parents, where Yama says so
            processes.say(os.getpid())
            signal.sigwait({GO})
            live(json.loads(line))
            return
        _, status = os.waitpid(pid, 0)
        processes.say("ended")
        processes.say(os.waitstatus_to_exitcode(status))
