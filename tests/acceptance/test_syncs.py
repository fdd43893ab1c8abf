"""What the operating system is asked for: a sync of the log for each commit that promises one, and none for others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

APPENDS = 40
_WRITER = """
import os, sys
from chatstore import ChatStore
with ChatStore(sys.argv[1], durability=sys.argv[2]) as store:
    history = store.history("a")
    history.append_user_message("the first")
    os.mkdir(sys.argv[1] + ".begin")
    for number in range(int(sys.argv[3])):
        history.append_user_message(str(number))
    os.mkdir(sys.argv[1] + ".end")
"""


def traced(path: Path, durability: str, log: Path) -> str:
    """The system calls of a writer that sync or mark, between its marks."""
    strace = shutil.which("strace")
    if strace is None:
        assert "CI" not in os.environ, "strace is missing; install it: apt-get install strace"
        pytest.skip("strace is not installed")
    calls = "fsync,fdatasync,mkdir,mkdirat"
    command = [strace, "-f", "-y", "-e", f"trace={calls}", "-o", str(log), sys.executable, "-c", _WRITER]
    subprocess.run([*command, str(path), durability, str(APPENDS)], check=True, timeout=120)
    between = re.search(r"\.begin\".*?\.end\"", log.read_text(), re.DOTALL)
    assert between is not None
    return between.group()


@pytest.mark.slow
@pytest.mark.parametrize(("durability", "syncs"), [("token", 0), ("message", APPENDS), ("full", APPENDS)])
def test_an_append_is_on_the_disk_when_it_returns_if_that_is_promised(
    path: Path, tmp_path: Path, durability: str, syncs: int
) -> None:
    calls = traced(path, durability, tmp_path / "calls")
    assert len(re.findall(r"(?:fsync|fdatasync)\(\d+<[^>]*chat\.db-wal>", calls)) == syncs, calls
