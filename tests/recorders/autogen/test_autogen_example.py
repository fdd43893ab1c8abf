"""The example runs, offline, and prints what it stored."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "record_autogen.py"


def test_it_prints_what_it_stored(path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["turn 1 begins", "turn 2 goes on"]
    assert sum(line.endswith("answer/final") for line in lines) == 2
    assert lines[-2:] == [
        "the person sees: ['Add 1 and 3', 'The answer is 4. DONE', 'Add 2 and 3', 'The answer is 5. DONE']",
        "the runs are ['completed', 'completed']",
    ]
