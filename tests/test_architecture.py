"""docs/architecture.md is true: its rooms are those of the imports' test, in their order, and its places exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_imports import LAYERS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
ROOMS = [tuple(re.findall(r"`(\w+)`", row[0])) for row in ROWS if len(row) == 2 and "`" in row[0]]
PLACES = sorted({place for row in ROWS if len(row) == 3 for place in re.findall(r"`([\w./]+)`", "|".join(row[1:]))})
TESTS = sorted(set(re.findall(r"`(tests/[\w./]+)`", PAGE)))
SAID = sorted(set(re.findall(r"`((?:writing|operations|live|wakers|databases)/\w*)`", PAGE)))


def test_the_rooms_are_the_layers_from_the_top_down() -> None:
    assert list(reversed(LAYERS)) == ROOMS


@pytest.mark.parametrize("place", [*PLACES, *TESTS])
def test_what_it_names_exists(place: str) -> None:
    assert (ROOT / place).exists()


@pytest.mark.parametrize("place", SAID)
def test_the_modules_that_it_tells_of_exist(place: str) -> None:
    path = ROOT / "chatstore" / place
    assert path.is_dir() or path.with_suffix(".py").exists()
