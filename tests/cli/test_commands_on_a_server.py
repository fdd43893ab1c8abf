"""Every command takes the URL of a store on a server, and none shows a password."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import postgres_server
import psycopg
import pytest
from claude_log import SESSION, session
from sqlalchemy.engine import make_url
from typer.testing import Result

from chatstore import ChatStore, RunCancelled
from chatstore.schema import SCHEMA_VERSION

pytestmark = pytest.mark.slow

Run = Callable[..., Result]
PASSWORD = "pass-word-9"


@pytest.fixture
def url() -> Iterator[str]:
    """A store's URL with a password in it, which this server does not ask for."""
    made = postgres_server.new_store()
    yield make_url(made).set(password=PASSWORD).render_as_string(hide_password=False)
    postgres_server.drop(made)


@pytest.fixture
def empty() -> Iterator[str]:
    made = postgres_server.empty_database()
    yield make_url(made).set(password=PASSWORD).render_as_string(hide_password=False)
    postgres_server.drop(made)


@pytest.fixture
def said(run: Run) -> Callable[..., str]:
    """Runs a command that succeeds; what it printed, without a password in it."""

    def said(*arguments: object, exit_code: int = 0) -> str:
        result = run(*arguments)
        assert result.exit_code == exit_code, result.output
        assert PASSWORD not in result.output
        return result.output

    return said


def test_a_conversation_by_commands(said: Callable[..., str], url: str, tmp_path: Path) -> None:
    said("append", "c", "Is it raining?", "--role", "user", "--store", url)
    with ChatStore(url) as store, suppress(RunCancelled), store.history("c").run() as run:
        store.history("c").append_status_message("Looking")
        assert "cancelled" in said("cancel", run.id, "--store", url)
    assert "Is it raining?" in said("show", "c", "--store", url)
    tail = said("tail", "c", "--store", url)
    assert "Looking" in tail
    assert "resume with: chatstore tail c" in tail
    assert "cancelled" in said("runs", "c", "--store", url)
    assert said("ls", "--store", url).startswith("c\t")
    assert "c erased: 2 blocks" in said("erase", "c", "--yes", "--store", url)
    assert json.loads(said("info", "--json", "--store", url))["contexts"] == 0


def test_what_a_store_on_a_server_is(said: Callable[..., str], url: str) -> None:
    said("append", "c", "x", "--store", url)
    facts = json.loads(said("info", "--json", "--store", url))
    assert facts["url"].startswith("postgresql://") and "schema=chatstore" in facts["url"]
    assert (facts["format"], facts["contexts"], facts["blocks"]) == (SCHEMA_VERSION, 1, 1)
    assert facts["bytes_on_disk"] > 100_000
    assert facts["postgresql"]


def test_conversations_go_in_and_out(said: Callable[..., str], url: str, tmp_path: Path) -> None:
    record = {"id": "a", "messages": [{"role": "user", "content": "Hello?"}]}
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    assert "1 conversations" in said("import", tmp_path / "in.jsonl", "--store", url)
    said("export", "-o", tmp_path / "out.jsonl.gz", "--store", url)
    with gzip.open(tmp_path / "out.jsonl.gz") as lines:
        assert [json.loads(line) for line in lines] == [record]


def test_what_other_programs_left_goes_into_it(said: Callable[..., str], url: str, tmp_path: Path) -> None:
    file = session().write(tmp_path / f"{SESSION}.jsonl")
    assert "1 conversations: 14 messages, 14 blocks" in said("import", file, "--store", url)
    assert "1 stored before" in said("import", file, "--store", url)


def test_a_store_is_made_and_said_to_be_there(said: Callable[..., str], empty: str) -> None:
    refused = said("ls", "--store", empty, exit_code=1)
    assert "chatstore migrate" in refused
    assert f"made, of format {SCHEMA_VERSION}" in said("migrate", empty)
    assert "nothing to do" in said("migrate", empty)
    assert said("ls", "--store", empty) == ""
    assert "made, of format" in said("migrate", f"{empty}&schema=other", "--partitions", 3)
    assert "a store already" in said("migrate", empty, "--partitions", 3, exit_code=2)


def test_a_store_is_copied_to_a_server_and_back(said: Callable[..., str], url: str, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("Hello?")
    assert "1 contexts, 1 blocks, 1 changes" in said("copy", path, url)
    report = json.loads(said("copy", url, f"{path}.back", "--json"))
    assert (report["contexts"], report["blocks"]) == (1, 1)
    with ChatStore(f"{path}.back") as store:
        assert [block.text for block in store.history("c").get_messages()] == ["Hello?"]


def test_what_is_open_is_copied_as_interrupted_when_asked(said: Callable[..., str], url: str, path: Path) -> None:
    with ChatStore(path) as store, store.history("c").run():
        assert "not ended" in said("copy", path, url, exit_code=1)
        assert "1 runs" in said("copy", path, url, "--as-interrupted")


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("vacuum",), "autovacuum"),
        (("backup", "copy.db"), "pg_dump.*chatstore copy"),
        (("check", "--repair"), "restore a backup"),
    ],
)
def test_what_is_for_files_says_what_to_use(
    said: Callable[..., str], url: str, command: tuple[str, ...], instead: str
) -> None:
    assert re.search(instead, said(*command, "--store", url, exit_code=1))


def test_a_store_on_a_server_is_checked(said: Callable[..., str], url: str) -> None:
    said("append", "c", "Is it raining?", "--store", url)
    assert "1 contexts, 1 blocks, 1 changes: all is as it was written" in said("check", url)
    with psycopg.connect(postgres_server.url_of(str(make_url(url).database))) as conn:
        conn.execute("UPDATE chatstore.blocks SET text = 'Is it snowing?'")
    found = said("check", url, exit_code=1)
    assert "context 'c', block 0: its row is not what entry 1 of the log says" in found


def test_the_demo_runs_on_a_server(said: Callable[..., str], url: str) -> None:
    assert "none missing, none twice" in said("demo", "--store", url, Path(__file__).parent)


def test_a_wrong_url_shows_no_password(run: Run) -> None:
    for wrong in ("postgresql://u:secret@h", "mysql://u:secret@h/d", "postgresql://u:secret@[/d", "x://u:secret@h:p/d"):
        result = run("ls", "--store", wrong)
        assert result.exit_code != 0
        assert "secret" not in result.output


class TestDoctor:
    def test_all_is_well(self, said: Callable[..., str], url: str) -> None:
        found = {finding["name"]: finding for finding in _findings(said("doctor", url, "--json", exit_code=1))}
        names = {"server", "encoding", "pooler", "wake-ups", "clock", "connections", "durability", "horizon"}
        assert found.keys() >= {*names, "store", "permissions", "partitions", "vacuum"}
        assert found["durability"]["status"] == "problem"  # the tests' own server has fsync off
        assert {f["status"] for name, f in found.items() if name not in ("durability", "connections")} == {"good"}
        assert "LISTEN: a notice takes" in found["wake-ups"]["found"]
        assert "fillfactor=50" in found["vacuum"]["found"]

    def test_who_holds_back_the_feed_is_named(
        self, said: Callable[..., str], url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatstore.databases.postgres.diagnosis._LONG", 0.0)
        with psycopg.connect(postgres_server.url_of(str(make_url(url).database))) as conn:
            conn.execute("SELECT pg_current_xact_id()")
            pid = conn.info.backend_pid
            found = said("doctor", url, exit_code=1)
        assert f"process {pid} (no name" in found
        assert "idle in transaction" in found
        assert f"pg_terminate_backend({pid})" in found

    def test_what_a_user_may_not_do_is_named(self, said: Callable[..., str], url: str) -> None:
        role, database = f"limited_{uuid4().hex}", make_url(url).database
        with psycopg.connect(postgres_server.url_of(str(database)), autocommit=True) as conn:
            conn.execute(f"CREATE ROLE {role} LOGIN")
            try:
                limited = make_url(url).set(username=role).render_as_string(hide_password=False)
                assert "without USAGE on the schema chatstore" in said("doctor", limited, exit_code=1)
                conn.execute(f"GRANT USAGE ON SCHEMA chatstore TO {role}")
                conn.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA chatstore TO {role}")
                found = said("doctor", limited, exit_code=1)
                assert "without DELETE on chatstore.store_info, DELETE on chatstore.histories" in found
                conn.execute(f"GRANT DELETE ON ALL TABLES IN SCHEMA chatstore TO {role}")
                conn.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA chatstore TO {role}")
                said("append", "c", "as docs/postgres.md has it", "--store", limited)
                assert "may read and write everything" in said("doctor", limited, exit_code=1)
            finally:
                conn.execute(f"DROP OWNED BY {role}")
                conn.execute(f"DROP ROLE {role}")

    def test_a_store_that_is_not_there(self, said: Callable[..., str], empty: str) -> None:
        assert "chatstore migrate" in said("doctor", empty, exit_code=1)


def _findings(output: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in output.splitlines()]
