"""Making a store in a database, or changing its format: asked for, in one transaction, by one process at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from chatstore import ids
from chatstore.cursor import IDENTITY_BYTES
from chatstore.databases.postgres.connecting import settings
from chatstore.databases.postgres.errors import DRIVER_ERRORS, translate_opening
from chatstore.databases.postgres.opening import FORMAT, check_encoding, check_format
from chatstore.databases.postgres.url import PostgresUrl
from chatstore.errors import InvalidInput
from chatstore.operations import checksums
from chatstore.schema import SCHEMA_VERSION


def upgrade_server(url: PostgresUrl, run: Callable[[Connection, int], None], *, new: bool = False) -> tuple[int, int]:
    """Lets `run` bring a store from its format to this version's, all or nothing; the formats before and after. Where
    there is no schema or no table in it, the store is made: format 0. `new`: raises InvalidInput where there is one."""
    with _transaction(url) as conn:
        old = _format(conn, url)
        if new and old:
            raise InvalidInput(
                f"{url} is a store already, and its tables stay as they are; make a new one with partitions under"
                " another schema= or in another database, and copy it there: chatstore copy"
            )
        if old >= SCHEMA_VERSION:
            check_format(old, url)
            return old, old
        run(conn, old)
        if old == 0:
            _add(conn, url, "identity", secrets.token_hex(IDENTITY_BYTES))
            _add(conn, url, "created_at", str(ids.now()))
            _add(conn, url, FORMAT, str(SCHEMA_VERSION))
        else:
            value = str(SCHEMA_VERSION)
            changed = f"UPDATE {url.schema}.store_info SET value = %s, checksum = %s WHERE name = %s"
            conn.exec_driver_sql(changed, (value, checksums.of_info(FORMAT, value), FORMAT))
    return old, SCHEMA_VERSION


@contextmanager
def _transaction(url: PostgresUrl) -> Iterator[Connection]:
    """One that only one process at a time has for a schema, and that makes its tables there."""
    engine = create_engine(url.engine_url(), poolclass=NullPool, connect_args=settings(url))
    lock = int.from_bytes(blake2b(url.schema.encode(), digest_size=8, key=b"chatstore migrate").digest(), signed=True)
    try:
        with engine.begin() as conn:
            check_encoding(conn, url)
            # Before the schema: of two CREATE … IF NOT EXISTS at once both may find nothing, and then one fails.
            conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (lock,))
            conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {url.schema}")
            conn.exec_driver_sql(f"SET LOCAL search_path = {url.schema}")
            yield conn
    except DRIVER_ERRORS as error:
        raise translate_opening(error, str(url)) from error


def _format(conn: Connection, url: PostgresUrl) -> int:
    found = conn.exec_driver_sql("SELECT to_regclass(%s)", (f"{url.schema}.store_info",)).scalar()
    if found is None:
        return 0
    return int(conn.exec_driver_sql(f"SELECT value FROM {url.schema}.store_info WHERE name = '{FORMAT}'").scalar_one())


def _add(conn: Connection, url: PostgresUrl, name: str, value: str) -> None:
    row = (name, value, checksums.of_info(name, value))
    conn.exec_driver_sql(f"INSERT INTO {url.schema}.store_info (name, value, checksum) VALUES (%s, %s, %s)", row)
