"""The page about stores of frameworks: each part of it is run in the environment of its framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from test_readme import python_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recorders-stores.md").read_text(encoding="utf-8")


def run_part(title: str) -> dict[str, Any]:
    """The names that the Python of a part of the page makes."""
    [part] = [part for part in PAGE.split("\n## ") if part.startswith(title)]
    names: dict[str, Any] = {"__name__": "example"}
    blocks = python_of(part)
    for line, code in blocks:
        exec(compile("\n" * (line - 1) + code, f"recorders-stores.md: {title}", "exec"), names)
    assert len(blocks) == 1
    return names


def printed(example: str, path: Path) -> list[str]:
    """What an example prints, which says nothing on its standard error."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / example, path], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()
