"""Which files chatstore's own code opens by other means than SQLite, in the process of the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import chatstore

PACKAGE = str(Path(chatstore.__file__).parent)
TESTS = (str(Path(__file__).parent), str(Path(PACKAGE) / "testing"))
MAY_OPEN = ("guard.py", "placing.py", "foreign.py")
"""The first never closes its descriptor while SQLite has the file open, the second opens only what it makes, empty, and
the last reads how files begin that are no store of this process."""

opened: set[tuple[str, str]] = set()
"""Files that were opened, and the modules that did."""
databases: set[str] = set()


def hear(event: str, given: tuple[Any, ...]) -> None:
    """Notes what is opened by us, and what SQLite opens; for `sys.addaudithook`."""
    if event == "open" and isinstance(given[0], str | bytes | os.PathLike) and (module := _opener()) is not None:
        opened.add((_real(given[0]), module))
    elif event == "sqlite3.connect" and isinstance(given[0], str | bytes | os.PathLike):
        name = os.fsdecode(given[0])
        if name.startswith("file:"):
            name = unquote(name[5:].partition("?")[0], errors="surrogateescape")
        databases.add(_real(name))


def wrongly_opened() -> list[str]:
    """What was opened that only SQLite may open."""
    files = {database + suffix for database in databases for suffix in ("", "-wal", "-shm")}
    return [f"{module} opened {file}" for file, module in sorted(opened) if file in files]


def forget() -> None:
    """Begins anew."""
    opened.clear()
    databases.clear()


def _opener() -> str | None:
    """The module of chatstore in whose course it happens, unless a test called something in between."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(TESTS):
            return None
        if name.startswith(PACKAGE):
            return None if name.endswith(MAY_OPEN) else name[len(PACKAGE) + 1 :]
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _real(path: str | bytes | os.PathLike[Any]) -> str:
    name = os.fsdecode(path)
    return name if "\0" in name else os.path.realpath(name)
