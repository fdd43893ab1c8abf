"""Where a copy came from: kept in it, so that a cursor of the original store raises CursorExpired with where to go on.

A copy has the same changes under the same numbers, and its own identity. Up to `until` in its log they are those of
the source; what the source went on with behind them, it does not have. `places_kept`: also the places in the whole
store's log are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from chatstore.operations import checksums, histories
from chatstore.operations.prepared import Prepared
from chatstore.schema import changes, store_info

COPIED_FROM: Final = "copied_from"
"""The name, in `store_info`, of the stores that this one was copied from."""
COPYING: Final = "copying"
"""The name, in `store_info` of a copy that is not whole yet, of the identity of its source."""


class Origin(NamedTuple):
    """A store that this one is a copy of, at once or by way of others."""

    identity: str
    until: int
    places_kept: bool


_INFO = Prepared(select(store_info.c.value).where(store_info.c.name == bindparam("wanted")))
_FORGET = Prepared(delete(store_info).where(store_info.c.name == bindparam("wanted")))
_ADD = Prepared(insert(store_info).values({name: bindparam(name) for name in ("name", "value", "checksum")}))
_COPIED = Prepared(
    select(changes.c.sequence)
    .where(changes.c.history_id == bindparam("history"), changes.c.id <= bindparam("until"))
    .order_by(changes.c.sequence.desc())
    .limit(1)
)
_LAST = Prepared(select(func.max(changes.c.id)))


def info(conn: Connection, name: str) -> str | None:
    """What a store says of itself under a name."""
    row = _INFO.first(conn, wanted=name)
    return None if row is None else str(row[0])


def set_info(conn: Connection, name: str, value: str | None) -> None:
    """Sets what a store says of itself under a name; None: it says nothing there any more."""
    _FORGET.run(conn, wanted=name)
    if value is not None:
        _ADD.many(conn, [(name, value, checksums.of_info(name, value))])


def origins(conn: Connection) -> list[Origin]:
    """The stores that this one was copied from, the last one first."""
    stored = info(conn, COPIED_FROM)
    return [] if stored is None else [Origin(*one) for one in json.loads(stored)]


def set_origins(conn: Connection, found: list[Origin]) -> None:
    """Sets these stores."""
    set_info(conn, COPIED_FROM, json.dumps(found))


def last_place(conn: Connection) -> int:
    """The end of the whole store's log."""
    row = _LAST.first(conn)
    return 0 if row is None or row[0] is None else int(row[0])


class Origins:
    """Finds the place of another store's cursor in this one, if this is a copy of it."""

    def __init__(self, read: Callable[[Callable[[Connection], int | None]], int | None]) -> None:
        self._read = read

    def copied(self, identity: str, context_id: str) -> int | None:
        """Up to which change a context is that store's; None: this is no copy of it."""
        return self._read(lambda conn: _copied(conn, identity, context_id))

    def place(self, identity: str, place: int) -> int | None:
        """Where in the whole store's log to go on behind a place in that store's; 0: at the beginning."""
        return self._read(lambda conn: _place(conn, identity, place))


def _origin(conn: Connection, identity: str) -> Origin | None:
    return next((one for one in origins(conn) if one.identity == identity), None)


def _copied(conn: Connection, identity: str, context_id: str) -> int | None:
    origin = _origin(conn, identity)
    if origin is None:
        return None
    history = histories.find_or_tombstone(conn, context_id)
    if history is None:
        return 0
    row = _COPIED.first(conn, history=history.id, until=origin.until)
    return history.first if row is None else max(int(row[0]), history.first)


def _place(conn: Connection, identity: str, place: int) -> int | None:
    origin = _origin(conn, identity)
    if origin is None:
        return None
    return min(place, origin.until) if origin.places_kept else 0
