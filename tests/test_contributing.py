"""CONTRIBUTING.md is true: its places exist, and its commands are those that are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = sorted(
    set(re.findall(r"(?:\]\(|[` ])((?:\.ci|chatstore|docs|migrations|tests|benchmarks)/[\w./]*)", PAGE))
    | {"CHANGELOG.md"}
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_it_names_exists(place: str) -> None:
    assert (ROOT / place).exists()


def test_its_markers_and_extras_exist() -> None:
    markers = {marker.partition(":")[0] for marker in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    assert set(re.findall(r"pytest -m (\w+)", PAGE)) <= markers
    assert set(re.findall(r"'\.\[(\w+)\]'", PAGE)) <= PROJECT["project"]["optional-dependencies"].keys()


@pytest.mark.parametrize("name", re.findall(r"`\.ci/recorders (\w+)`", PAGE))
def test_the_recorders_that_it_names_have_an_environment(name: str) -> None:
    assert (ROOT / "tests" / "recorders" / name / "requirements.txt").exists()
