"""The page of guarantees names tests for every promise, which are there, look at something and are not left out."""

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
BY_HELPERS = {"test_a_store_does_what_dicts_do_and_survives_what_kills_its_process"}
"""Their steps compare with a model."""


@cache
def functions(path: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests of a file, in classes or not."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _looks(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr == "raises")


def left_out(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a test is skipped or expected to fail whatever happens."""
    marks = {ast.unparse(mark).partition("(")[0] for mark in test.decorator_list}
    return not marks.isdisjoint({"pytest.mark.skip", "pytest.mark.xfail"})


@pytest.mark.parametrize(("file", "name"), TESTS, ids=[name for _, name in TESTS])
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    path = SUITE / file.removeprefix("suite/") if file.startswith("suite/") else ROOT / "tests" / file
    assert name.startswith("test_")
    test = functions(path)[name]
    assert not left_out(test)
    assert name in BY_HELPERS or any(_looks(node) for node in ast.walk(test))


def test_every_promise_names_its_tests_and_nothing_else() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line != "| promise | tests |"]
    assert len(rows) == len(PROMISES) > 30
    for promise, tests in PROMISES:
        assert promise.endswith("."), promise
        assert not NAMED.sub("", tests).strip(), f"{promise}: {tests}"


def test_what_is_not_promised_is_said() -> None:
    unpromised = PAGE.partition("## What is not promised")[2]
    assert len(re.findall(r"^- \*\*.+\.\*\* ", unpromised, re.MULTILINE)) >= 10
