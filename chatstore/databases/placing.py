"""Where a file may be put, and how it gets its name: nothing that is there is lost to it, and no database is harmed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from chatstore.errors import InvalidInput

_BESIDE: Final = ("-wal", "-shm", "-journal")
"""Ends of the names of what SQLite keeps beside a database."""


def check_not_of_a_store(target: Path) -> None:
    """Refuses a place that belongs to a database: SQLite would take what lies there for a part of it, or lose one."""
    for end in _BESIDE:
        name = target.name[: -len(end)]
        if target.name.lower().endswith(end) and name and target.with_name(name).exists():
            raise InvalidInput(f"{target} is a part of the database {name} beside it; name another file")


def is_there(target: Path) -> InvalidInput:
    """The error for a file that would be lost."""
    return InvalidInput(f"{target} is there already and was left as it is; name another file, or have it overwritten")


def place(new: Path, target: Path, *, overwrite: bool) -> None:
    """Gives a whole file its name. Raises InvalidInput where there is one of that name, unless `overwrite`.

    It may be there under its old name too, until that is removed.
    """
    try:
        new.replace(target) if overwrite else _take(new, target)
    except FileExistsError:
        raise is_there(target) from None


def _take(new: Path, target: Path) -> None:
    try:
        target.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:  # vfat and others know one name of a file: an empty one holds the place
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        new.replace(target)
