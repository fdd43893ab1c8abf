"""pgbouncer in transaction mode, before the server of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL
from sqlalchemy.engine import make_url

_CONFIGURED = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
auth_type = trust
auth_file = {directory}/users
admin_users = {user}
pool_mode = transaction
default_pool_size = 10
max_client_conn = 200
unix_socket_dir =
logfile = {directory}/log
"""


@contextmanager
def pooler(server: str) -> Iterator[int]:
    """The port of one that stands before a server. Skips the test where there is none, unless CI has to have it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        assert "CI" not in os.environ, "pgbouncer is missing; install it: apt-get install pgbouncer"
        pytest.skip("pgbouncer is not installed")
    url = make_url(server)
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", ignore_cleanup_errors=True) as directory:
        yield from _run(program, url, Path(directory))


def _run(program: str, url: URL, directory: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    given: dict[str, Any] = {"host": url.query.get("host") or url.host, "port": url.port or 5432}
    configured = directory / "pgbouncer.ini"
    configured.write_text(_CONFIGURED.format(**given, user=url.username, own=own, directory=directory))
    (directory / "users").write_text(f'"{url.username}" ""')
    directory.chmod(0o777)
    user = "pgserver" if os.geteuid() == 0 else None  # it does not run as root, no more than the server does
    process = subprocess.Popen([program, "-q", str(configured)], user=user, stderr=subprocess.DEVNULL)
    try:
        _wait_for(through(url, own))
        yield own
    finally:
        process.terminate()
        process.wait(10)


def through(url: str | URL, port: int) -> str:
    """The URL of a database as it is reached by the pooler at a port."""
    return make_url(url).set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2).close()
            return
        time.sleep(0.05)  # nothing tells when it listens
    raise AssertionError("pgbouncer did not start")
