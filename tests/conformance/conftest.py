"""What of the suite a plain run takes where: each promise once at least, and again where the way to it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from chatstore.testing import conformance

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
"""What the others ask is answered at the server; `.ci/run` has them too."""
OVER_HTTP: Final = frozenset({"test_remote_async.py", "test_remote_sync.py"})
TWIN: Final = "test_remote_async.py"
"""What of the way an event loop takes is its own has tests in `tests/server`."""
REFUSED: Final = {*vars(conformance.Refusing), "test_a_malformed_cursor_is_refused"}
"""What is refused before a database is asked: a plain run asks one face and one database."""
ASKED: Final = "test_sync_store.py"


def is_slow(file: str, test: str | None) -> bool:
    """Whether a plain run leaves a test of the suite out in the file of one store."""
    if file in OVER_HTTP:
        return file == TWIN or test not in {name for part in QUICK for name in vars(part)}
    return test in REFUSED and file != ASKED


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what a plain run leaves out."""
    for item in items:
        if is_slow(Path(item.path).name, getattr(item, "originalname", None)):
            item.add_marker(pytest.mark.slow)
