"""What of the suite a plain run takes where: each promise once at least, and again where the way to it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from chatstore.testing import conformance

ASKED: Final = "test_sync_store.py"
"""The file of the store of which a plain run asks everything."""
QUICK: Final = (
    conformance.Appending,
    conformance.Endings,
    conformance.Feeds,
    conformance.Following,
    conformance.Lifetime,
    conformance.OpenBlocks,
    conformance.Running,
    conformance.Streams,
    conformance.Submitting,
)
"""What it asks of an event loop, of PostgreSQL and over HTTP, too; `.ci/run` asks them the rest."""
TWIN: Final = "test_remote_async.py"
"""What of the way an event loop takes over HTTP is its own has tests in `tests/server`."""
THOROUGH: Final = (
    "agrees_with_the_model",
    "resumes_anywhere",
    "any_text",
    "never_moves_the_cursor",
    "bursts_of_any_size",
    "many_follow",
    "many_filters",
    "one_who_never_reads",
)
"""In the names of promises that take hundreds of examples, or several writers: a plain run asks them once."""


def is_slow(file: str, test: str | None) -> bool:
    """Whether a plain run leaves a test of the suite out in the file of one store."""
    if file == ASKED or test is None or not hasattr(conformance.ConformanceSuite, test):
        return False
    chosen = any(test in vars(part) for part in QUICK) and not any(word in test for word in THOROUGH)
    return file == TWIN or not chosen


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what a plain run leaves out."""
    for item in items:
        if is_slow(Path(item.path).name, getattr(item, "originalname", None)):
            item.add_marker(pytest.mark.slow)
