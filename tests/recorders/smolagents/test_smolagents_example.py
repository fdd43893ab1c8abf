"""The example runs, offline, and prints what it stored."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "record_smolagents.py"


def test_it_prints_what_it_stored(path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[:6]] == [
        *("message", "plan", "reasoning", "function_call", "function_result", "reasoning")
    ]
    assert sum("internal" in line and "doubler" in line for line in lines) == 4
    assert lines[-2:] == ["the person sees: ['What is 2 plus 3, doubled?', '10']", "the run is completed"]
