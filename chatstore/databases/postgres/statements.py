"""How PostgreSQL takes statements: with the store's schema in them, and for many rows as arrays in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ClauseElement,
    ColumnElement,
    Connection,
    Insert,
    Table,
    Update,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.sql.visitors import replacement_traverse

from chatstore.databases.postgres.arrays import literal
from chatstore.operations.places import horizon
from chatstore.operations.prepared import Form, Row, among, driver, next_number, of_row
from chatstore.schema import blobs, changes, store_info

PLACE_BITS: Final = 20
"""An entry's place in the store's log is its transaction's number, and so many bits for its place therein."""
_OWN: Final = literal_column(f"(pg_current_xact_id()::text::bigint << {PLACE_BITS})", BigInteger)
_NEXT: Final = literal_column(f"((pg_current_xact_id()::text::bigint + 1) << {PLACE_BITS})", BigInteger)
_DIALECT = psycopg_dialect(paramstyle="format")  # type: ignore[no-untyped-call]


class PostgresStyle:
    """The statements of one store, by the name of its schema."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PostgresStyle) and other._schema == self._schema

    def __hash__(self) -> int:
        return hash(self._schema)

    def compile(self, statement: ClauseElement, conn: Connection | None = None) -> Form:
        """With its values by position."""
        compiled = self._compiled(statement)
        constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        return Form(str(compiled), tuple(compiled.positiontup or ()), constants)

    def compile_many(self, statement: ClauseElement, conn: Connection | None = None) -> Form:
        """The same for as many rows as its values, each an array, have elements."""
        compiled = self._compiled(statement)
        names = list(compiled.positiontup or ())
        given = _arrays({name: compiled.binds[name] for name in names})
        if isinstance(statement, Insert):
            statement = _insert_all(cast("Table", statement.table), names, given)
        elif isinstance(statement, Update):
            statement = _with_columns(statement, given)
        form = self.compile(statement)
        return Form(form.sql, tuple(names), {})

    def run_many(self, conn: Connection, form: Form, rows: Sequence[Row]) -> None:
        """As one statement."""
        driver(conn).execute(form.sql, [*map(literal, zip(*rows, strict=True))])

    def changed(self, conn: Connection, cursor: Any) -> int:
        """Known once everything that was sent has been answered."""
        pipeline = driver(conn)._pipeline
        if pipeline is not None:
            pipeline.sync()
        return int(cursor.rowcount)

    def _compiled(self, statement: ClauseElement) -> SQLCompiler:
        compiled = statement.compile(
            dialect=_DIALECT, schema_translate_map={None: self._schema}, render_schema_translate=True
        )
        assert isinstance(compiled, SQLCompiler)
        return compiled


def _arrays(binds: dict[str, BindParameter[Any]]) -> TableValuedAlias:
    """Rows of which each value is taken from an array."""
    arrays = [bindparam(name, type_=ARRAY(bind.type)) for name, bind in binds.items()]
    columns = [column(name, bind.type) for name, bind in binds.items()]
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="nth", name="given").render_derived()


def _insert_all(table: Table, names: list[str], given: TableValuedAlias) -> Insert:
    values: list[ColumnElement[Any]] = [given.c[name] for name in names]
    if table is changes and "id" not in names:
        # Two transactions write to one history one after the other, and get their numbers only when they hold it: so
        # the places of its entries are in its own order, and are known to be complete up to the oldest transaction.
        last = select(func.max(changes.c.id)).where(changes.c.id >= _OWN, changes.c.id < _NEXT)
        values.append(func.coalesce(last.scalar_subquery(), _OWN) + given.c.nth)
        names = [*names, "id"]
    statement = insert(table).from_select(names, select(*values))
    if table is blobs:  # another process may store the same bytes now; they must not be removed under both of us
        statement = statement.on_conflict_do_update(
            index_elements=[blobs.c.digest], set_={"digest": statement.excluded.digest}
        )
    if table is store_info:  # another process may note the same for the first time
        statement = statement.on_conflict_do_nothing()
    return statement


def _with_columns(statement: Update, given: TableValuedAlias) -> Update:
    def replacement(element: Any, **_: Any) -> Any:
        return given.c[element.key] if isinstance(element, BindParameter) and element.key in given.c else None

    return cast("Update", replacement_traverse(statement, {}, replacement))


@compiles(next_number, "postgresql")
def _next_number(element: next_number, compiler: SQLCompiler, **options: object) -> str:
    table = compiler.preparer.format_table(element.numbers.table)
    return f"nextval(pg_get_serial_sequence('{table}', '{element.numbers.name}'))"


@compiles(horizon, "postgresql")
def _horizon(element: horizon, compiler: SQLCompiler, **options: object) -> str:
    return f"(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << {PLACE_BITS})"


@compiles(among, "postgresql")
def _any(element: among, compiler: SQLCompiler, **options: Any) -> str:
    """As an array, which is always looked up by an index: how many rows a LIMIT leaves, a plan for all values does not
    know."""
    few = compiler.process(element.few, **{**options, "asfrom": False})
    return f"{compiler.process(element.column, **options)} = ANY (ARRAY({few}))"


@compiles(of_row, "postgresql")
def _calculated(element: of_row, compiler: SQLCompiler, **options: Any) -> str:
    """As what is calculated: for two columns that are equal to one value, a plan may look each up by that alone, and
    read a history for each row of it."""
    return f"({compiler.process(element.column, **options)} + 0)"
