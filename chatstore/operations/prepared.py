"""Statements written in SQLAlchemy Core, compiled once, run on the driver's own cursor.

Building and hashing a Core statement for each call costs several times what SQLite needs to run it. A statement
here is compiled at its first use on a dialect and kept as SQL text and parameter names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler

Row: TypeAlias = tuple[Any, ...]


def driver(conn: Connection) -> Any:
    """The driver's own connection, or the one that SQLAlchemy makes of an asynchronous one."""
    return conn.connection.dbapi_connection


class Prepared:
    """One Core statement with `bindparam` names for its values."""

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None, Mapping[str, Any]]] = {}

    def all(self, conn: Connection, **values: object) -> list[Row]:
        """Every row."""
        return list(self._execute(conn, values).fetchall())

    def first(self, conn: Connection, **values: object) -> Row | None:
        """The first row, if there is one."""
        rows = self.all(conn, **values)
        return rows[0] if rows else None

    def run(self, conn: Connection, **values: object) -> int:
        """Runs a statement that returns nothing; the number of rows it changed."""
        return self._execute(conn, values).rowcount

    def many(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Runs a statement for each of several rows of values, given in the order in which it takes them."""
        sql, _, _ = self._form(conn)
        if len(rows) == 1:
            driver(conn).execute(sql, rows[0])
        else:
            driver(conn).executemany(sql, rows)

    def _execute(self, conn: Connection, values: Mapping[str, object]) -> DBAPICursor:
        sql, names, defaults = self._form(conn)
        given = {**defaults, **values} if defaults else values
        cursor: DBAPICursor = driver(conn).execute(sql, given if names is None else [given[name] for name in names])
        return cursor

    def _form(self, conn: Connection) -> tuple[str, tuple[str, ...] | None, Mapping[str, Any]]:
        form = self._compiled.get(conn.dialect.name)
        if form is None:
            compiled = self._statement.compile(dialect=conn.dialect)
            assert isinstance(compiled, SQLCompiler)
            names = tuple(compiled.positiontup or ()) if compiled.positional else None
            literals = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
            form = self._compiled[conn.dialect.name] = (str(compiled), names, literals)
        return form
