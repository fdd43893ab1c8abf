"""The pytest plug-in: it gives the fixture of the conformance suite, and readable failures in it.

pytest loads it wherever chatstore is installed, so it does nothing until a test asks for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("chatstore.testing.conformance")


@pytest.fixture
def chatstore_url(tmp_path: Path) -> str:
    """Where a test of the conformance suite makes its store: a path at which there is nothing yet."""
    return str(tmp_path / "chat.db")
