"""Places in the log of the whole store: where it ends by now, and which contexts have moved since one of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, bindparam, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from chatstore.operations.prepared import Prepared
from chatstore.schema import changes, histories


class horizon(FunctionElement[int]):
    """The place in the store's log from which on entries may still be committed before others that are there already.
    Where one writer commits at a time there is no such place; a database with many compiles it for itself."""

    inherit_cache: bool | None = True
    type: TypeEngine[int] = BigInteger()


@compiles(horizon)
def _no_horizon(element: horizon, compiler: SQLCompiler, **options: object) -> str:
    return str(2**63 - 1)


# Behind the horizon nothing is given out: what is committed late there would be passed over for good.
_NEWEST = Prepared(select(func.max(changes.c.id)).where(changes.c.id < horizon()))
# Grouped by an expression: by the bare column, SQLite would walk its index from one end to the other.
_MOVED = Prepared(
    select(func.max(changes.c.id), histories.c.context_id, func.max(changes.c.sequence))
    .join(histories, histories.c.id == changes.c.history_id)
    .where(changes.c.id > bindparam("position"))
    .group_by(changes.c.history_id + literal_column("0"))
)


def newest(conn: Connection) -> int:
    """The place behind which the whole store's log goes on."""
    row = _NEWEST.first(conn)
    return int(row[0]) if row is not None and row[0] is not None else 0


_END = Prepared(
    select(
        select(func.max(changes.c.id)).where(changes.c.id < horizon()).scalar_subquery(),
        select(func.max(changes.c.id)).scalar_subquery(),
    )
)


def end(conn: Connection) -> tuple[int, bool]:
    """The same (0: nothing yet), and whether there are entries behind it already that have to wait for others."""
    [(settled, last)] = _END.all(conn)
    return settled or 0, (last or 0) > (settled or 0)


def moved(conn: Connection, position: int) -> tuple[dict[str, int], int]:
    """The heads of the contexts written to since a position of the store's log, and its new position."""
    rows = _MOVED.all(conn, position=position)
    return {row[1]: row[2] for row in rows}, max((row[0] for row in rows), default=position)
