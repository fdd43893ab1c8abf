"""The page on PostgreSQL is true: its commands, its Python and its SQL run, in the order in which they are told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import postgres_server
import psycopg
import pytest
from nats_server import serving
from psycopg import conninfo
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from chatstore.cli import app
from chatstore.cli.doctor import FAILED

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"postgresql://app@db\.example/chat")


@pytest.fixture
def url() -> Iterator[str]:
    made = postgres_server.empty_database()
    yield made
    postgres_server.drop(made)


@pytest.mark.slow
def test_all_that_it_shows_runs(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path) as nats:
        ran = _run_all(url, PAGE.replace("nats://nats.example:4222", nats.url))
    assert ran == {"sh": 6, "python": 4, "sql": 1}


def _run_all(url: str, page: str) -> dict[str, int]:
    names: dict[str, object] = {"__name__": "example"}
    ran = {"sh": 0, "python": 0, "sql": 0}
    for block in BLOCKS.finditer(page):
        language, text = block.groups()
        if language == "python":
            line = page[: block.start()].count("\n") + 1
            exec(compile("\n" * line + _on(url, text), "postgres.md", "exec"), names)
        elif language == "sql":
            _run_sql(url, text)
        else:
            for command in text.splitlines():
                _run(_on(url, command))
        ran[language] += 1
    return ran


def _on(url: str, text: str) -> str:
    """The same, with the tests' server in place of the one on the page."""
    return SHOWN.sub(lambda _: url, text).replace(f"{url}?schema", f"{url}&schema")


def _run(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "pip":
        return
    result = CliRunner().invoke(app, words[1:])
    # The tests' server syncs nothing, which the doctor takes for a problem.
    assert result.exit_code == (FAILED if words[1] == "doctor" else 0), f"{command}: {result.output}"


def _run_sql(url: str, text: str) -> None:
    database = make_url(url).database
    with psycopg.connect(conninfo.make_conninfo(url), autocommit=True) as conn:
        conn.execute(text.replace("DATABASE chat ", f"DATABASE {database} "))


def test_it_tells_of_every_table() -> None:
    with psycopg.connect(postgres_server.new_store()) as conn:
        tables = conn.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'chatstore'::regnamespace"
        )
        missing = [name for (name,) in tables if f"`{name}`" not in PAGE]
        database = conn.info.dbname
    postgres_server.drop(postgres_server.url_of(database))
    assert missing == []
