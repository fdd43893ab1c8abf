"""Python processes for the tests here: each runs one module of this package, perhaps under strace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]


def strace() -> str:
    """The tracer. Skips the test where there is none, and fails it where CI has to have it."""
    found = shutil.which("strace")
    if found is None:
        assert "CI" not in os.environ, "strace is missing; install it: apt-get install strace"
        pytest.skip("strace is not installed")
    return found


def start(module: str, /, *, prefix: Sequence[str] = (), **arguments: object) -> subprocess.Popen[str]:
    """Starts a module of this package; it says things in lines on its standard output."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    warnings = ("-W", "error", "-W", "ignore::ResourceWarning")  # some of them end on purpose without a close
    return subprocess.Popen(
        [*prefix, sys.executable, "-X", "faulthandler", *warnings, "-m", f"faults.{module}", _json(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def run(module: str, /, *, seconds: float = 60, prefix: Sequence[str] = (), **arguments: object) -> list[Any]:
    """Runs a module of this package to its good end; what it said."""
    process = start(module, prefix=prefix, **arguments)
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        raise AssertionError(f"{module} did not end in {seconds} s; it said {out[-2000:]}{errors[-4000:]}") from None
    assert process.returncode == 0, f"{module} ended with {process.returncode}: {out[-2000:]}{errors[-4000:]}"
    return [json.loads(line) for line in out.splitlines()]


def arguments() -> Any:
    """For a process: what it was started with."""
    return json.loads(sys.argv[1])


def say(value: object) -> None:
    """For a process: one line to the test, whole or not at all."""
    os.write(1, f"{_json(value)}\n".encode())


def shorten_log(size: int) -> None:
    """For a process: stores copy SQLite's log into the database when it has so many bytes, as others do later."""
    names = (
        ("chatstore.databases.checkpoints", "LIMIT", size),
        ("chatstore.writing.committer", "CHECKPOINT_AFTER", size // 1_048),
    )
    for module, name, value in names:
        with suppress(ModuleNotFoundError):
            setattr(import_module(module), name, value)


def _json(value: object) -> str:
    return json.dumps(value, default=str)
