"""Other processes, as tests use them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FORKING = """
    import os, signal, sys
    from chatstore import *

    def child(work):
        read, write = os.pipe()
        if os.fork() == 0:
            signal.alarm(10)
            try:
                answer = repr(work())
            except BaseException as error:
                answer = type(error).__name__
            os.write(write, answer.encode())
            os._exit(0)
        os.close(write)
        os.wait()
        with open(read) as file:
            return file.read() or "nothing"
"""
"""The beginning of a program that does some things in a child of its own: `child` says what came of one there."""


def run(code: str, *values: object) -> str:
    """What a Python program in another process prints; its failure fails the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, values)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def strace() -> str:
    """The tracer of system calls. Skips the test where there is none, and fails it where CI has to have it."""
    found = shutil.which("strace")
    if found is None:
        assert "CI" not in os.environ, "strace is missing; install it: apt-get install strace"
        pytest.skip("strace is not installed")
    return found


def digests(directory: Path) -> str:
    """The content of every file below, taken by another process: opening a file here could drop SQLite's locks."""
    return run(
        """
        import hashlib, pathlib, sys
        for path in sorted(pathlib.Path(sys.argv[1]).rglob("*")):
            if path.is_file() and not path.name.endswith("-shm"):
                print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        """,
        directory,
    )
