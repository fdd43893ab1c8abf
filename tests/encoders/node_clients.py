"""The real clients from npm: installed once into a cache, and run as processes that print JSON."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

SCRIPTS = Path(__file__).parents[1] / "clients"


@cache
def installed() -> Path:
    """Where the clients and our scripts for them lie. Skips without Node or a registry; with CI set, it fails."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _missing("no node and npm here: the real clients of the encoders' protocols are NOT tested")
    manifest = (SCRIPTS / "package.json").read_bytes()
    place = Path(tempfile.gettempdir()) / f"chatstore-clients-{os.getuid()}-{hashlib.sha256(manifest).hexdigest()[:16]}"
    place.mkdir(mode=0o700, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / ".installed").exists():
            (place / "package.json").write_bytes(manifest)
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            run = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=600)
            if run.returncode:
                _missing(f"npm could not install the real clients, which are NOT tested: {run.stderr[-500:]}")
            (place / ".installed").touch()
        for script in SCRIPTS.glob("*.mjs"):
            shutil.copy(script, place)
    return place


def _missing(reason: str) -> None:
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


class Client:
    """A client at work."""

    started: ClassVar[list[Client]] = []

    def __init__(self, script: str, *arguments: str) -> None:
        command = ["node", script, *arguments]
        self._process = subprocess.Popen(command, cwd=installed(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        Client.started.append(self)

    def result(self) -> dict[str, Any]:
        """What it printed, once it has ended."""
        out, err = self._process.communicate(timeout=90)
        Client.started.remove(self)
        assert self._process.returncode == 0, err.decode()[-3000:]
        return dict(json.loads(out))


def end_clients() -> None:
    """Ends the clients that a failing test has left."""
    while Client.started:
        process = Client.started.pop()._process
        process.kill()
        process.communicate()


def run_client(script: str, *arguments: str) -> dict[str, Any]:
    """What a client makes of a URL."""
    return Client(script, *arguments).result()
