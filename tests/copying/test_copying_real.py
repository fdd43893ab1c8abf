"""Every real conversation goes from a file to a server and back, and is what it was, also when it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from comparing import assert_equal
from data_support import conversation_files, report
from typer.testing import CliRunner

from chatstore.cli import app
from chatstore.copying import copy

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from chatstore.copying import copy

def told(done, total):
    if done * 2 > total:
        os.kill(os.getpid(), signal.SIGKILL)
copy(*sys.argv[1:], progress=told)
"""


@pytest.mark.parametrize("largest", [200_000, pytest.param(None, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_real_conversations_go_to_a_server_and_back(
    tmp_path: Path, new_place: Callable[[str], str], largest: int | None
) -> None:
    files = [file for file in conversation_files() if largest is None or file.stat().st_size < largest]
    source, server, back = str(tmp_path / "real.db"), new_place("server"), str(tmp_path / "back.db")
    imported = CliRunner().invoke(app, ["import", "--store", source, *map(str, files)])
    assert imported.exit_code == 0, imported.output
    figures = []
    for one, other in ((source, server), (server, back)):
        killed = subprocess.run([sys.executable, "-c", KILLED, one, other], timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL
        start = time.monotonic()
        copied = copy(one, other)
        seconds = time.monotonic() - start
        figures.append(
            f"{copied.blocks:,} blocks, {copied.resumed:,} contexts from before: the rest in {seconds:.1f} s"
        )
        assert 0 < copied.resumed < copied.contexts
    assert assert_equal(source, back) == copied.blocks
    assert assert_equal(source, server) == copied.blocks
    report(*figures)
