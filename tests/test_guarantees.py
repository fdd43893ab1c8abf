"""The page of guarantees names tests that are there, for every promise."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
SUITE = ROOT / "chatstore" / "testing" / "conformance"
NAMED = re.compile(r"`(\S+\.py)::(\w+)`")
PROMISES = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]
TESTS = sorted({*NAMED.findall(PAGE)})


@cache
def functions(path: Path) -> set[str]:
    """The tests of a file, in classes or not."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "name"), TESTS, ids=[name for _, name in TESTS])
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    path = SUITE / file.removeprefix("suite/") if file.startswith("suite/") else ROOT / "tests" / file
    assert name.startswith("test_")
    assert name in functions(path)


def test_every_promise_names_its_tests_and_nothing_else() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line != "| promise | tests |"]
    assert len(rows) == len(PROMISES) > 30
    for promise, tests in PROMISES:
        assert promise.endswith("."), promise
        assert not NAMED.sub("", tests).strip(), f"{promise}: {tests}"


def test_what_is_not_promised_is_said() -> None:
    unpromised = PAGE.partition("## What is not promised")[2]
    assert len(re.findall(r"^- \*\*.+\.\*\* ", unpromised, re.MULTILINE)) >= 10
