"""What is done to a store's files while it is open: removed, replaced, restored, moved, touched by other programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from other_processes import run

from chatstore import ChatStore
from chatstore.databases.files import LATELY

COPY_OVER = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"
RESTORE = """
    import sqlite3, sys
    source, target = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
    source.backup(target)
    source.close()
    target.close()
"""


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes or ("", "-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)


def remove_index(path: Path) -> None:
    """Nothing is lost with it, and it is looked at somewhat less often."""
    remove(path, "-shm")
    time.sleep(LATELY)


def shell(path: Path, *statements: str) -> str:
    """What SQLite's own shell or another program does: a process without chatstore."""
    return run(
        """
        import sqlite3, sys
        conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0.2)
        for statement in sys.argv[2:]:
            try:
                print(conn.execute(statement).fetchall())
            except sqlite3.OperationalError as error:
                print(error)
        conn.close()
        """,
        path,
        *statements,
    )


def copy(path: Path, target: Path) -> Path:
    """Copies the file in another process: closing it here would drop locks, and that is another scenario."""
    run("import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])", path, target)
    return target


def replace_by_another_store(path: Path) -> None:
    other = path.parent / "other" / "chat.db"
    other.parent.mkdir()
    with ChatStore(other) as store:
        store.history("c").append_user_message("another store's")
    other.replace(path)


def restore(path: Path) -> None:
    backup = copy(path, path.with_suffix(".backup"))
    remove(path)
    backup.rename(path)


def rename_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("renamed"))


def rename_and_put_another(path: Path) -> None:
    rename_directory(path)
    path.parent.mkdir()
    with ChatStore(path) as store:
        store.history("c").append_user_message("another store's")


def rename_and_rename_back(path: Path) -> None:
    rename_directory(path)
    path.parent.with_name("renamed").rename(path.parent)


def open_and_close(path: Path) -> None:
    for suffix in ("", "-wal"):
        with beside(path, suffix).open("rb") as file:
            file.read()
    shell(path, "SELECT count(*) FROM blocks")


def take_the_log_away(path: Path) -> None:
    assert "locked" in shell(path, "PRAGMA journal_mode=DELETE")


def backed_up(path: Path, restore: str) -> None:
    """Makes a backup and restores it, in another process."""
    backup = path.with_suffix(".backup")
    run(
        """
        import sys
        from chatstore import ChatStore
        with ChatStore(sys.argv[1]) as store:
            store.backup(sys.argv[2], overwrite=True)
        """,
        path,
        backup,
    )
    run(restore, backup, path)


def copy_over(path: Path) -> None:
    backed_up(path, COPY_OVER)


def restore_by_sqlite(path: Path) -> None:
    backed_up(path, RESTORE)


def truncate(path: Path) -> None:
    run("import os, sys; os.truncate(sys.argv[1], 0)", path)


REFUSED: dict[str, Callable[[Path], object]] = {
    "the database removed": lambda path: remove(path, ""),
    "the log removed": lambda path: remove(path, "-wal"),
    "the index of the log removed": remove_index,
    "log and index removed": lambda path: remove(path, "-wal", "-shm"),
    "everything removed": remove,
    "the database replaced by a copy": lambda path: copy(path, path.with_suffix(".copy")).replace(path),
    "the database replaced by another store": replace_by_another_store,
    "restored from a backup": restore,
    "the directory renamed": rename_directory,
    "the directory renamed, another in its place": rename_and_put_another,
    "a backup copied over the database": copy_over,
    "a backup restored by SQLite": restore_by_sqlite,
    "the database truncated": truncate,
}
HARMLESS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "opened and closed by hand, closed by another process": open_and_close,
    "read by a shell": lambda path: shell(path, "SELECT * FROM blocks"),
    "written by a shell": lambda path: shell(path, "UPDATE store_info SET value = value"),
    "VACUUM": lambda path: shell(path, "VACUUM"),
    "a checkpoint": lambda path: shell(path, "PRAGMA wal_checkpoint(TRUNCATE)"),
    "the log taken away": take_the_log_away,
    "the mode changed": lambda path: path.chmod(0o644),
}
KEEP_WHAT_THERE_WAS = (
    *("the log removed", "the index of the log removed", "log and index removed", "the database replaced by a copy"),
)
"""Nothing acknowledged before is lost either, once the store is closed."""
