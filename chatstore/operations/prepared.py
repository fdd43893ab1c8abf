"""Statements written in SQLAlchemy Core, compiled once, run on the driver's own connection.

Building and hashing a Core statement for each call costs several times what SQLite needs to run it. A statement
here is compiled at its first use on a database and kept as SQL text and parameter names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from sqlalchemy import BigInteger, Boolean, ClauseElement, Column, ColumnElement, Connection, SelectBase
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

Row: TypeAlias = tuple[Any, ...]

STYLE: Final = "chatstore_style"
"""The execution option of an engine that says how its database takes statements; see Style."""


def driver(conn: Connection) -> Any:
    """The driver's own connection, or the one that SQLAlchemy makes of an asynchronous one."""
    return conn.connection.dbapi_connection


class Form(NamedTuple):
    """A statement as a database takes it: its text, and the names of its values in their order (None: by name), with
    those that are always the same."""

    sql: str
    names: tuple[str, ...] | None
    constants: Mapping[str, Any]

    def bound(self, values: Mapping[str, object]) -> Mapping[str, object] | list[object]:
        """The values, as the driver takes them."""
        given = {**self.constants, **values} if self.constants else values
        return given if self.names is None else [given[name] for name in self.names]


class Style(Protocol):
    """How a database takes statements."""

    def compile(self, statement: ClauseElement, conn: Connection) -> Form:
        """A statement as it is run once."""

    def compile_many(self, statement: ClauseElement, conn: Connection) -> Form:
        """A statement as it is run for many rows of values."""

    def run_many(self, conn: Connection, form: Form, rows: Sequence[Row]) -> None:
        """Runs it for each row, whose values are in the order of the names."""

    def changed(self, conn: Connection, cursor: Any) -> int:
        """How many rows a statement has changed."""


class DriverStyle:
    """As the DB-API has it: a statement for many rows is the same, and given to the driver with all of them."""

    def compile(self, statement: ClauseElement, conn: Connection) -> Form:
        """With the dialect's own kind of parameters."""
        compiled = statement.compile(dialect=conn.dialect)
        assert isinstance(compiled, SQLCompiler)
        names = tuple(compiled.positiontup or ()) if compiled.positional else None
        return Form(
            str(compiled), names, {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        )

    compile_many = compile

    def run_many(self, conn: Connection, form: Form, rows: Sequence[Row]) -> None:
        """With one call."""
        if len(rows) == 1:
            driver(conn).execute(form.sql, rows[0])
        else:
            driver(conn).executemany(form.sql, rows)

    def changed(self, conn: Connection, cursor: Any) -> int:
        """As the driver counts."""
        return int(cursor.rowcount)


_DRIVER_STYLE = DriverStyle()


class next_number(FunctionElement[int]):
    """The number of a new row, given the column that has them: one more than the last, where there is one writer at a
    time. A database with many has a sequence for it."""

    inherit_cache: bool | None = False
    type: TypeEngine[int] = BigInteger()

    def __init__(self, numbers: Column[int]) -> None:
        super().__init__()  # not as its argument: nothing is selected from the table
        self.numbers = numbers


@compiles(next_number)
def _one_more(element: next_number, compiler: SQLCompiler, **options: object) -> str:
    # And not SQLite's own row id: the checksum in the same statement needs the number before there is a row.
    column = element.numbers
    return f"(SELECT coalesce(max({column.name}), 0) + 1 FROM {column.table.name})"


class among(FunctionElement[bool]):
    """Whether a column has one of the few values that a selection gives, which are looked up one by one."""

    inherit_cache: bool | None = False
    type: TypeEngine[bool] = Boolean()

    def __init__(self, column: Column[Any], few: SelectBase) -> None:
        super().__init__()
        self.condition: ColumnElement[bool] = column.in_(few)
        self.column: Column[Any] = column
        self.few: SelectBase = few


@compiles(among)
def _in(element: among, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.condition, **options)


class of_row(FunctionElement[int]):
    """A number of the row that others are joined to, and no other: not even where the statement gives it for both."""

    inherit_cache: bool | None = False
    type: TypeEngine[int] = BigInteger()

    def __init__(self, column: Column[int]) -> None:
        super().__init__()
        self.column = column


@compiles(of_row)
def _itself(element: of_row, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.column, **options)


class Prepared:
    """One Core statement with `bindparam` names for its values."""

    __slots__ = ("_forms", "_many", "_statement")

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        # By style: a process may have stores on several databases open, and a server's name their schema in each
        # statement.
        self._forms: dict[Style, Form] = {}
        self._many: dict[Style, Form] = {}

    def all(self, conn: Connection, **values: object) -> list[Row]:
        """Every row."""
        # To the end: a statement that is left half-read keeps its read transaction, and SQLite's log cannot begin anew
        # beside one.
        return list(self._execute(conn, values).fetchall())

    def upto(
        self, conn: Connection, most: int, weigh: Callable[[Row], int], **values: object
    ) -> tuple[list[Row], bool]:
        """Rows until they weigh more than that, and whether these are all. What is not read takes no memory, where the
        driver does not read ahead."""
        cursor = self._execute(conn, values)
        rows: list[Row] = []
        try:
            while most >= 0 and (row := cursor.fetchone()) is not None:
                rows.append(row)
                most -= weigh(row)
        finally:
            # Not left to the garbage collector: as above, it would be a reader of the log until then.
            cursor.close()
        return rows, most >= 0

    def first(self, conn: Connection, **values: object) -> Row | None:
        """The first row, if there is one."""
        rows = self.all(conn, **values)
        return rows[0] if rows else None

    def run(self, conn: Connection, **values: object) -> None:
        """Runs a statement that returns nothing."""
        self._execute(conn, values)

    def changed(self, conn: Connection, **values: object) -> int:
        """The same; the number of rows it changed."""
        return style_of(conn).changed(conn, self._execute(conn, values))

    def many(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Runs a statement for each of several rows of values, given in the order in which it takes them."""
        style = style_of(conn)
        form = self._many.get(style)
        if form is None:
            form = self._many[style] = style.compile_many(self._statement, conn)
        style.run_many(conn, form, rows)

    def _execute(self, conn: Connection, values: Mapping[str, object]) -> Any:
        style = style_of(conn)
        form = self._forms.get(style)
        if form is None:
            form = self._forms[style] = style.compile(self._statement, conn)
        return driver(conn).execute(form.sql, form.bound(values))


def style_of(conn: Connection) -> Style:
    """How the database of a connection takes statements."""
    style: Style = conn.get_execution_options().get(STYLE, _DRIVER_STYLE)
    return style
