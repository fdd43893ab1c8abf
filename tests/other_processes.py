"""Other processes, as tests use them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


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
