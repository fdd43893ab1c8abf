"""The revisions, and what they make."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from chatstore import ChatStore
from chatstore.databases.sqlite_file import APPLICATION_ID
from chatstore.migrate import migrate, migrations_directory
from chatstore.schema import SCHEMA_VERSION

ROOT = Path(__file__).parents[2]


def test_a_migrated_store_has_exactly_the_tables_of_a_new_one(old_store: Path, tmp_path: Path) -> None:
    migrate(old_store)
    ChatStore(tmp_path / "new.db").close()
    assert schema(old_store) == schema(tmp_path / "new.db")


def test_a_migrated_store_has_exactly_the_header_of_a_new_one(old_store: Path, tmp_path: Path) -> None:
    migrate(old_store)
    ChatStore(tmp_path / "new.db").close()
    assert header(old_store) == header(tmp_path / "new.db") == [APPLICATION_ID, SCHEMA_VERSION, "wal"]


def test_the_revisions_are_numbered_like_the_formats_they_make() -> None:
    newest_first = ScriptDirectory(str(migrations_directory())).walk_revisions()
    numbers = [script.revision for script in newest_first][::-1]
    assert numbers == [f"{number:04}" for number in range(1, SCHEMA_VERSION + 1)]


def test_a_checkout_uses_its_own_revisions() -> None:
    assert migrations_directory() == ROOT / "migrations"


def test_alembic_finds_nothing_to_add() -> None:
    command.check(Config(toml_file=ROOT / "pyproject.toml"))


def test_a_developer_adds_a_revision_with_the_next_number(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    alembic = [sys.executable, "-m", "alembic", "revision", "--autogenerate", "-m", "add something"]
    subprocess.run(alembic, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    added = tmp_path / "migrations" / "versions" / f"{SCHEMA_VERSION + 1:04}_add_something.py"
    assert f'down_revision = "{SCHEMA_VERSION:04}"' in added.read_text().replace("'", '"')


def test_opening_a_store_does_not_load_alembic(tmp_path: Path) -> None:
    code = "import sys, chatstore; chatstore.ChatStore(sys.argv[1]).close(); sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "new.db"], check=True, timeout=60)


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return sorted(conn.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"))


def header(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as conn:
        names = ("application_id", "user_version", "journal_mode")
        return [conn.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
