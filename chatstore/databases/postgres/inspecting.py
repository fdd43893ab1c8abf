"""Looking at a store on a server, and filling one, through a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from chatstore.databases.postgres.connecting import adapt
from chatstore.databases.postgres.errors import DRIVER_ERRORS, translate, translate_opening
from chatstore.databases.postgres.statements import PostgresStyle
from chatstore.databases.postgres.url import PostgresUrl
from chatstore.operations.prepared import STYLE, driver


class ServerInspector:
    """A connection to a store on a server; nothing goes out in a pipeline, and no other has it."""

    def __init__(self, url: PostgresUrl) -> None:
        self.url = url
        engine = create_engine(
            url.engine_url(),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={"connect_timeout": 10, "application_name": "chatstore", "prepare_threshold": None},
            execution_options={STYLE: PostgresStyle(url.schema)},
        )
        event.listen(engine, "connect", lambda connection, _record: adapt(connection))
        try:
            self.conn: Connection = engine.connect()
        except DRIVER_ERRORS as error:
            raise translate_opening(error, str(url)) from error

    def __enter__(self) -> ServerInspector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, which gives back all that it held."""
        self.conn.close()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """The connection within one transaction that reads, and sees the store as it was at one moment."""
        with self._within("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield self.conn

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The connection within one that writes; rolled back by an error, else committed and synced."""
        with self._within("BEGIN"):
            self.rows("SELECT set_config('synchronous_commit', 'on', true)")
            yield self.conn

    @contextmanager
    def _within(self, begin: str) -> Iterator[None]:
        try:
            self.run(begin)
            try:
                yield
            except BaseException:
                if not driver(self.conn).closed:
                    driver(self.conn).rollback()
                raise
            self.run("COMMIT")
        except DRIVER_ERRORS as error:
            raise translate(error, str(self.url)) from error

    def run(self, statement: str, *values: object) -> None:
        """Runs a statement as the server takes it."""
        driver(self.conn).execute(statement, values or None)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return list(driver(self.conn).execute(statement, values or None).fetchall())
