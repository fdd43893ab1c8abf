"""Stores on a PostgreSQL server for the tests here, and what they share with those of the file store."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import postgres_server
import pytest

sys.path.append(str(Path(__file__).parents[1] / "acceptance"))


@pytest.fixture
def url() -> Iterator[str]:
    """A store that nobody has written to. Fails a test that leaves a connection open."""
    made = postgres_server.new_store()
    yield made
    postgres_server.drop(made)
