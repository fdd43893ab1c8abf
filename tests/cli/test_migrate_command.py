"""`chatstore migrate`."""

import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatstore import ChatStore
from chatstore.databases.sqlite_file import APPLICATION_ID

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-c", "from chatstore.cli import main; main()"]


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    return make_database(tmp_path / "chatstore.db", version=0)


def make_database(path: Path, *, version: int) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA application_id={APPLICATION_ID}")
        conn.execute(f"PRAGMA user_version={version}")
    return path


def run(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [*PROGRAM, *map(str, arguments)]
    inherited = {name: value for name, value in os.environ.items() if name != "CHATSTORE_STORE"}
    settings = inherited | {"COLUMNS": "200"} | environment
    return subprocess.run(words, cwd=cwd, env=settings, capture_output=True, text=True, timeout=60)


def test_it_says_which_formats_it_migrated_between(old_store: Path, tmp_path: Path) -> None:
    result = run("migrate", old_store, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{old_store}: migrated from format 0 to 2\n"
    ChatStore(old_store, create=False).close()


def test_it_says_when_there_is_nothing_to_do(old_store: Path, tmp_path: Path) -> None:
    run("migrate", old_store, cwd=tmp_path)
    result = run("migrate", old_store, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing to do" in result.stdout


def test_it_migrates_the_store_that_a_refused_command_named(old_store: Path, tmp_path: Path) -> None:
    refused = run("ls", "--store", old_store, cwd=tmp_path)
    assert refused.returncode == 1
    arguments = shlex.split(refused.stderr.split("run: chatstore ")[1])
    assert run(*arguments, cwd=tmp_path).returncode == 0
    assert run("ls", "--store", old_store, cwd=tmp_path).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["migrate"], {}),
        (["migrate", "--store", "chatstore.db"], {}),
        (["--store", "chatstore.db", "migrate"], {}),
        (["migrate"], {"CHATSTORE_STORE": "chatstore.db"}),
        (["migrate", "chatstore.db"], {"CHATSTORE_STORE": "another.db"}),
        (["migrate", "sqlite:///chatstore.db"], {}),
    ],
)
def test_the_store_is_named_as_for_every_command(
    old_store: Path, tmp_path: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    result = run(*arguments, cwd=tmp_path, **environment)
    assert (result.returncode, result.stderr) == (0, "")
    ChatStore(old_store, create=False).close()


def test_a_newer_store_is_refused_in_one_line(tmp_path: Path) -> None:
    newer = make_database(tmp_path / "newer.db", version=99)
    result = run("migrate", newer, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "upgrade chatstore" in result.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = run("migrate", "nothing.db", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "no store" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_with_control_characters_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    named = make_database(tmp_path / "\x1b[31mred.db", version=0)
    result = run("migrate", named, cwd=tmp_path)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
