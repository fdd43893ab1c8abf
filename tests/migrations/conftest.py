import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chatstore.databases.sqlite_file import APPLICATION_ID


@pytest.fixture
def make_database(tmp_path: Path) -> Callable[..., Path]:
    """Makes a database with nothing but this header in it, as stores of format 0 are."""

    def make(name: str = "chat.db", *, application: int = APPLICATION_ID, version: int = 0, script: str = "") -> Path:
        path = tmp_path / name
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute(f"PRAGMA application_id={application}")
            conn.execute(f"PRAGMA user_version={version}")
            conn.executescript(script)
        return path

    return make


@pytest.fixture
def old_store(make_database: Callable[..., Path]) -> Path:
    return make_database()
