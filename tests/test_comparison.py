"""What the page of comparisons says of other systems is proved by tests, or cited from their own documentation."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
REQUIREMENTS = (ROOT / "tests" / "recorders" / "comparison" / "requirements.txt").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| |")
]
PROOFS = {row[0]: row for row in ROWS if len(row) == 3}
TABLE = [row for row in ROWS if len(row) == 8]
MARK = re.compile(r"\b[OLGARDS]\d+\b")
NAMED = re.compile(r"`(\S+\.py)::(\w+)`")
CITED = re.compile(r"cited: \[[^\]]+\]\((https://[^)]+)\)")
PLACES = (
    "https://docs.dbos.dev/",
    "https://github.com/durable-streams/durable-streams/",
    "https://github.com/google/adk-docs/",
    "https://openai.github.io/openai-agents-python/",
    "https://reference.langchain.com/",
)
"""Where the projects themselves document what they do."""
NAMES = {
    "openai-agents": "OpenAI Agents",
    "langchain-community": "LangChain community",
    "langgraph": "LangGraph",
    "langgraph-checkpoint-sqlite": "checkpoint-sqlite",
    "google-adk": "Google ADK",
    "dbos": "DBOS",
    "redis": "redis-py",
    "durable-streams": "Durable Streams client",
}


@cache
def _functions(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8")))
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "name"), sorted({*NAMED.findall(PAGE)}), ids=lambda given: given)
def test_a_test_that_is_named_is_there_and_looks_at_something(file: str, name: str) -> None:
    assert name.startswith("test_") and file.startswith("recorders/comparison/test_comparison_")
    test = _functions(file)[name]
    assert not any("skip" in ast.unparse(mark) or "xfail" in ast.unparse(mark) for mark in test.decorator_list)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(test))


def test_every_test_of_the_comparison_is_named() -> None:
    there = {
        (f"recorders/comparison/{path.name}", name)
        for path in (ROOT / "tests" / "recorders" / "comparison").glob("test_*.py")
        for name in _functions(f"recorders/comparison/{path.name}")
        if name.startswith("test_")
    }
    assert there == {*NAMED.findall(PAGE)}


def test_every_proof_names_a_test_or_the_documentation_of_the_project() -> None:
    assert len(PROOFS) > 50
    for mark, claim, proof in PROOFS.values():
        assert MARK.fullmatch(mark) and claim.endswith("."), mark
        assert NAMED.search(proof) or CITED.search(proof), mark
        assert all(url.startswith(PLACES) for url in CITED.findall(proof)), mark


def test_every_cell_about_another_system_has_a_proof_of_it() -> None:
    assert len(TABLE) == 11
    systems = ({"O"}, {"L", "G"}, {"A"}, {"R"}, {"D"}, {"S"})
    for about, _, *others in TABLE:
        for letters, cell in zip(systems, others, strict=True):
            marks = MARK.findall(cell)
            assert marks, f"{about}: {cell}"
            assert {mark[0] for mark in marks} <= letters, f"{about}: {cell}"


def test_every_mark_is_a_proof_and_every_proof_is_used() -> None:
    said = PAGE.partition("## Proofs")[0]
    assert {*MARK.findall(said)} == {*PROOFS}


def test_the_page_names_the_versions_that_the_tests_run_with() -> None:
    pinned = dict(re.findall(r"^([\w-]+)(?:\[[\w,]+\])?==(\S+)$", REQUIREMENTS, re.MULTILINE))
    assert {*pinned} == {*NAMES}
    flat = " ".join(PAGE.split())
    for package, version in pinned.items():
        assert f"{NAMES[package]} {version}" in flat
