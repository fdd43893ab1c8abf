"""The pytest plug-in: it gives the fixtures of the conformance suite, and readable failures in it.

It is loaded where it is asked for, by `pytest_plugins = ["chatstore.testing.plugin"]` in the top `conftest.py` or
`-p chatstore.testing.plugin`, and costs the tests of nobody else anything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("chatstore.testing.conformance")


@pytest.fixture
def chatstore_url(tmp_path: Path) -> str:
    """Where a test of the conformance suite makes its store: a path at which there is nothing yet."""
    return str(tmp_path / "chat.db")


@pytest.fixture
def other_chatstore_url(tmp_path: Path) -> str:
    """The same for a second store, whose cursors the first one has to refuse."""
    return str(tmp_path / "other.db")
