"""Stores behind a server that is a process of its own, and behind a network that breaks; and what their machine does
beside what all do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from hypothesis.stateful import precondition, rule
from losing_proxy import LosingProxy

from chatstore.server.serving import listening
from machine.crashing import WORTH_KILLING, WholeMachine
from machine.places import Files


class Served:
    """Files, each served in its turn by a process of its own, at one address. The way there leads over a proxy."""

    def __init__(self) -> None:
        self._files = Files()
        script = str(Path(__file__).with_name("server.py"))
        self._parent = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with listening("127.0.0.1", 0) as ear:
            self._port = ear.getsockname()[1]
        self._proxy = LosingProxy(self._port).__enter__()
        self._path = ""
        self._pid = 0
        self.kills = 0

    def take(self) -> str:
        self._end()
        self._path = self._files.take()
        return f"{self._proxy.url}#{self._begin()}"

    def cut(self, location: str) -> None:
        self._proxy.cut()

    def lose(self, answers: int) -> None:
        """Has so many answers not come back."""
        self._proxy.lose(answers)

    def kill(self) -> None:
        """Ends the server in the middle of whatever it does, and starts another."""
        self._end()
        self._begin()
        self.kills += 1

    def give_back(self, location: str) -> None:
        self._end()
        self._files.give_back(self._path)

    def warm(self) -> str:
        return self._files.take()

    def close(self) -> None:
        self._end()
        self._proxy.__exit__()
        self._parent.communicate(timeout=30)
        self._files.close()

    def _begin(self) -> str:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(f"{self._port} {self._path}\n")
        self._parent.stdin.flush()
        pid, token = self._parent.stdout.readline().split()
        self._pid = int(pid)
        return token

    def _end(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            assert self._parent.stdout is not None
            assert self._parent.stdout.readline() == "gone\n"
            self._pid = 0


class ServedMachine(WholeMachine):
    """With deaths of the server, and with answers that are lost."""

    places: ClassVar[Served]  # type: ignore[assignment]

    @precondition(lambda self: self.age >= WORTH_KILLING)
    @rule()
    def kill_the_server(self) -> None:
        """What was open through it is interrupted, and its writers are told. All else goes on as before."""
        self.places.kill()
        dead, self.writers = self.writers, []
        runs, self.works = self.works, []
        for following in self.followed:
            text = [entry for entry in following.history.log[: following.place] if "cursor" not in entry]
            following.place -= len(text)
        self.stamp()
        self.all_interrupted(dead, runs)
        for writer in dead:
            self.refused("RunInterrupted", "end", writer.history.name, writer.number, "close")
            self.tell("forget", writer.number)
        for work in runs:
            self.tell("leave_run", work.number)

    @precondition(lambda self: self.age >= WORTH_KILLING)
    @rule()
    def lose_answers(self) -> None:
        """What was asked for is done once."""
        self.places.lose(3)
