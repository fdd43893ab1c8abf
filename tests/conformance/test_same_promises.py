"""Every database is held to the same promises, over both faces, and no test of them knows which one it runs on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from data_support import report

import chatstore.testing

HERE = Path(__file__).parent
RUNS = {
    "async, file": "test_async_store.py::TestAsyncChatStore",
    "sync, file": "test_sync_store.py::TestChatStore",
    "async, server": "test_postgres_store.py::TestAsyncChatStoreOnPostgres",
    "sync, server": "test_postgres_store.py::TestChatStoreOnPostgres",
    "async, HTTP": "test_remote_async.py::TestAsyncRemoteChatStore",
    "sync, HTTP": "test_remote_sync.py::TestRemoteChatStore",
}
"""Where the whole suite is run; over tables in parts, what those can change."""
KNOWING = re.compile(
    r"sqlite|postgres|psycopg|pragma|\bpg_|dialect|\bengine|driver|chatstore\.databases|chatstore\.core|\bremote|httpx|\bserved"
    r"|\.(url|path|location)\b|\bpath is",
    re.IGNORECASE,
)
"""By what a test could tell one database from another."""
LEAVING_OUT = re.compile(r"skip|xfail|deselect|pytest\.exit|__test__|collect_ignore")


def promises() -> dict[str, set[str]]:
    """The tests that are collected in each place, under the names that they have everywhere."""
    wanted = [
        "--collect-only",
        "-q",
        "-m",
        "slow or not slow",
        "-p",
        "no:cacheprovider",
        *(f"{HERE}/{where}" for where in RUNS.values()),
    ]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *wanted], cwd=HERE.parents[1], capture_output=True, text=True, check=True
    )
    tests: dict[str, set[str]] = defaultdict(set)
    # pytest escapes the names of parameters once more for every class that inherits them.
    for line in re.sub(r"\\+", r"\\", found.stdout).splitlines():
        where, _, name = line.rpartition("::") if "[" not in line else _before_parameters(line)
        if name.startswith("test_"):
            assert name not in tests[where], f"{line} is collected twice"
            tests[where].add(name)
    return tests


def _before_parameters(line: str) -> tuple[str, str, str]:
    """The same of a test whose parameters may hold any text."""
    test, _, parameters = line.partition("[")
    where, separator, name = test.rpartition("::")
    return where, separator, f"{name}[{parameters}"


@pytest.mark.slow
def test_every_database_and_face_is_held_to_the_same_tests() -> None:
    found = promises()
    tests = {run: found[f"tests/conformance/{where}"] for run, where in RUNS.items()}
    everything = set.union(*tests.values())
    assert {run: sorted(everything - held) for run, held in tests.items()} == {run: [] for run in RUNS}
    assert len(everything) > 500
    for run, held in tests.items():
        report(f"conformance, {run}: {len(held)} tests")


@pytest.mark.parametrize(
    "file", sorted(Path(chatstore.testing.__file__).parent.rglob("*.py")), ids=lambda file: file.stem
)
def test_no_test_of_the_suite_knows_a_database_or_leaves_one_out(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if KNOWING.search(line) or LEAVING_OUT.search(line)] == []


@pytest.mark.parametrize("file", sorted({where.partition("::")[0] for where in RUNS.values()}))
def test_no_run_of_the_suite_leaves_a_test_out_or_puts_another_in_its_place(file: str) -> None:
    text = (HERE / file).read_text(encoding="utf-8")
    assert LEAVING_OUT.search(text) is None
    assert "def test_" not in text
