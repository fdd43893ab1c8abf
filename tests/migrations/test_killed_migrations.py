"""A migration that is killed leaves the store as it was, or wholly migrated."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatstore import ChatStore, SchemaTooOld
from chatstore.migrate import migrate
from chatstore.schema import SCHEMA_VERSION

pytestmark = pytest.mark.slow

# Migrates a copy of the store again and again; the process that does it kills itself before or after its first
# statement, its second, and so on until one comes to its end.
KILLER = """
import os, shutil, signal, sys
from itertools import count
from pathlib import Path
from sqlalchemy import Engine, event
from chatstore.migrate import migrate

store = Path(sys.argv[1])
for number in count(1):
    copy = shutil.copy(store, store.parent / f"{number}.db")
    if (child := os.fork()) == 0:
        steps = count(1)
        def step(*_):
            if next(steps) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        event.listen(Engine, "before_cursor_execute", step)
        event.listen(Engine, "after_cursor_execute", step)
        migrate(copy)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_a_migration_killed_at_any_statement_leaves_the_old_store_or_the_new(old_store: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLER, old_store], check=True, timeout=120)
    killed = sorted((path for path in old_store.parent.glob("*.db") if path != old_store), key=lambda p: int(p.stem))
    outcomes = [outcome(path) for path in killed]
    assert outcomes[0] == 0 and outcomes[-1] == SCHEMA_VERSION
    assert outcomes == sorted(outcomes), "killed later, but not as far"
    assert len(outcomes) > 40


def outcome(path: Path) -> int:
    """The format that the killed migration left. Whichever it is, the store can be migrated and is whole then."""
    try:
        ChatStore(path).close()
        found = SCHEMA_VERSION
    except SchemaTooOld:
        found = 0
    assert migrate(path) == (found, SCHEMA_VERSION)
    with ChatStore(path) as store:
        store.history("a").append_user_message("still here")
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return found
