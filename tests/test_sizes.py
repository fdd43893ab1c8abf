"""A reader's time is the budget: how long files and functions may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for room in ("chatstore", "migrations", "tests", "benchmarks", "examples")
    for path in (ROOT / room).rglob("*.py")
)
LONGEST_FILE = 400
LONGEST_FUNCTION = 40

LONGER = {
    "tests/postgres/test_races.py:test_an_interrupt_in_a_commit_leaves_nothing_half_done_and_nothing_twice": (
        "one scenario: what is interrupted, by whom, and what is there afterwards"
    ),
    "tests/acceptance/growing/test_compaction_under_load.py:"
    "test_compaction_while_streams_grow_and_are_resumed_changes_nothing_that_is_read": (
        "one scenario of writers, readers and compaction at the same time"
    ),
    "tests/recorders/chatkit/chatkit_things.py:every": "a list: one item of every kind",
    "tests/acceptance/growing/test_recorded_streams.py:"
    "test_every_follower_of_recorded_streams_gets_each_text_once_and_in_order": (
        "one scenario of writers and followers at the same time"
    ),
}
"""Functions that are longer, and why."""


def lengths(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_no_file_is_long() -> None:
    lines = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_function_is_long_without_a_reason() -> None:
    found = [name for path in FILES for name, count in lengths(path) if count > LONGEST_FUNCTION]
    assert sorted(found) == sorted(LONGER)
