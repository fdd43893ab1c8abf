"""Repair of rows beside the histories, each by its own checksum, and of rows under another history's number."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Connection,
    LargeBinary,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    union_all,
)

from chatstore import ids
from chatstore.cursor import IDENTITY_BYTES
from chatstore.operations import checksums
from chatstore.operations.integrity import checking_store
from chatstore.operations.integrity.restoring import restored
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.retaining import PRUNED
from chatstore.schema import (
    BLOCK_ADDED,
    RUN_STARTED,
    append_keys,
    block_blobs,
    blocks,
    changes,
    context_keys,
    histories,
    leases,
    runs,
    store_info,
    tags,
)

Aside: TypeAlias = Callable[[str | None, str, dict[str, Any]], None]
Said: TypeAlias = Callable[[str | None, int | None, str], None]


class _Rows:
    """The rows of a table, written by the columns of its key: which may be no text that could be bound."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = [column.name for column in table.c]
        self.keys = [column.name for column in table.primary_key]
        self._all = Prepared(select(*table.c))
        self._add = Prepared(insert(table).values({name: bindparam(name) for name in self.names}))
        same = [table.c[name] == _given(table, name) for name in self.keys]
        self._remove = Prepared(delete(table).where(*same))

    def all(self, conn: Connection) -> list[Row]:
        return self._all.all(conn)

    def key(self, row: Row) -> Row:
        return tuple(row[self.names.index(name)] for name in self.keys)

    def remove(self, conn: Connection, row: Row, aside: Aside) -> None:
        aside(None, self.table.name, dict(zip(self.names, row, strict=True)))
        self._remove.run(conn, **{f"key_{n}": _raw(v) for n, v in zip(self.keys, self.key(row), strict=True)})

    def add(self, conn: Connection, row: Row) -> None:
        self._add.run(conn, **dict(zip(self.names, row, strict=True)))


def _given(table: Table, name: str) -> Any:
    if isinstance(table.c[name].type, Text):
        return cast(bindparam(f"key_{name}", type_=LargeBinary), Text)
    return bindparam(f"key_{name}")


def _raw(value: Any) -> Any:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


_INFO, _LEASES, _KEYS = _Rows(store_info), _Rows(leases), _Rows(append_keys)
_OLDEST = Prepared(select(func.min(histories.c.created_at)))
_NEWEST = Prepared(select(func.max(changes.c.id)))


def repair(conn: Connection, aside: Aside, said: Said) -> None:
    """Puts back what its checksum proves with one bit turned; the rest is set aside, and made anew where it can be."""
    for rows, is_sound, made_anew in _SEALED:
        stored = rows.all(conn)
        taken = {rows.key(row) for row in stored}
        for row in [row for row in stored if not is_sound(row)]:
            rows.remove(conn, row, aside)
            taken.discard(rows.key(row))
            places = [*range(len(row))]
            if rows is _LEASES and _HOLDS.first(conn, lease=row[0]):
                places.remove(0)  # or else a bit of its checksum's upper half would explain the same
            again = restored(row, places, partial(_fits, rows, is_sound, taken))
            new = made_anew(conn, row) if again is None else again
            if new is not None:
                rows.add(conn, new)
            _say(conn, rows, row, again, new, said)


def find_identity(conn: Connection) -> Row | None:
    """Puts back the identity, without which a store is not opened, if one turned bit explains it; the row as found."""
    for row in _INFO.all(conn):
        again = restored(row, (0, 1), lambda tried: tried[0] == "identity" and checking_store.is_info_sound(tried))
        if again is not None:
            _INFO.remove(conn, row, lambda *_: None)
            _INFO.add(conn, again)
            return row
    return None


def _fits(rows: _Rows, is_sound: Callable[[Row], bool], taken: set[Row], tried: Row) -> bool:
    return is_sound(tried) and rows.key(tried) not in taken


def _say(conn: Connection, rows: _Rows, row: Row, again: Row | None, new: Row | None, said: Said) -> None:
    of_context = rows is _KEYS
    name = f"the key {row[1]!a}" if of_context else f"{rows.table.name}, the row {rows.key(again or new or row)!a},"
    what = "was put back as it was" if again else "could not be proved, and was made anew" if new else "is forgotten"
    context_id = _name_of(conn, (again or row)[0]) if of_context else None
    said(context_id, None, f"{name} {what}")


def _name_of(conn: Connection, history: int) -> str | None:
    row = _NAME.first(conn, history=history)
    return None if row is None else str(row[0])


_NAME = Prepared(select(histories.c.context_id).where(histories.c.id == bindparam("history")))


def _new_info(conn: Connection, row: Row) -> Row | None:
    """What can be said again. With a new identity every cursor is refused, as it is with a wrong one."""
    value: str | None = None
    if row[0] == "identity":
        value = secrets.token_hex(IDENTITY_BYTES)
    elif row[0] == "created_at":
        value = str((_OLDEST.first(conn) or (None,))[0] or ids.now())
    elif row[0] == PRUNED:  # changes may be missing anywhere
        value = str((_NEWEST.first(conn) or (0,))[0] or 0)
    return None if value is None else (row[0], value, checksums.of_info(row[0], value))


def _no_key(_conn: Connection, _row: Row) -> Row | None:
    return None


def _new_lease(_conn: Connection, row: Row) -> Row | None:
    """One that has run out, so that what is open under it is interrupted."""
    return (row[0], "", 0, 0, 0, 0, checksums.numbered(checksums.of_lease("", 0, 0, 0), row[0]))


_SEALED: Final[tuple[tuple[_Rows, Callable[[Row], bool], Callable[[Connection, Row], Row | None]], ...]] = (
    (_INFO, checking_store.is_info_sound, _new_info),
    (_LEASES, checking_store.is_lease_sound, _new_lease),
    (_KEYS, checking_store.is_key_sound, _no_key),
)
_HOLDS = Prepared(
    union_all(
        *(select(table.c.history_id).where(table.c.lease_id == bindparam("lease")) for table in (blocks, runs))
    ).limit(1)
)

_STARTED = changes.alias("started")
_UNDER: Final = {
    **{table.name: (table, True) for table in (changes, blocks, runs)},
    **{table.name: (table, False) for table in (tags, block_blobs, context_keys, append_keys)},
}


def _lost(table: Table) -> Prepared:
    """Rows of a table that belong to no history that is there; of runs and blocks, also those that no log adds."""
    lost = ~exists().where(histories.c.id == table.c.history_id)
    own = _STARTED.c.history_id == table.c.history_id
    if table is runs:
        at = own & (_STARTED.c.sequence == runs.c.sequence) & (_STARTED.c.text == runs.c.id)
        lost = lost | ~exists().where(at, _STARTED.c.type == RUN_STARTED)
    elif table is blocks:
        at = own & (_STARTED.c.sequence == blocks.c.sequence) & (_STARTED.c.block_index == blocks.c.index)
        lost = lost | ~exists().where(at, _STARTED.c.type == BLOCK_ADDED)
    return Prepared(select(*table.c).where(lost))


_LOST: Final = {name: _lost(table) for name, (table, _) in _UNDER.items()}
_HEAD = Prepared(select(histories.c.head).where(histories.c.id == bindparam("history")))
_ADDS = Prepared(
    select(changes.c.type, changes.c.block_index, changes.c.text).where(
        changes.c.history_id == bindparam("history"), changes.c.sequence == bindparam("number")
    )
)


def bring_home(conn: Connection, aside: Aside, said: Said) -> None:
    """Puts rows under the one history whose number differs in one bit and that lacks them; else sets them aside.

    What is made anew from the blocks is not looked for a home. A row that no log adds stays where its history is.
    """
    for name, (table, has_home) in _UNDER.items():
        rows = _Rows(table)
        at = {column: place for place, column in enumerate(rows.names)}
        for row in _LOST[name].all(conn):
            own = row[at["history_id"]]
            near = checking_store.neighbours(conn, own) if has_home else []
            homes = [home for home in near if _lacks(conn, table, at, row, home[0])]
            if len(homes) != 1 and _HEAD.first(conn, history=own):
                continue
            rows.remove(conn, row, aside)
            about = row[at["index"]] if table is blocks else row[at["block_index"]] if "block_index" in at else None
            if len(homes) == 1:
                rows.add(conn, tuple(homes[0][0] if place == at["history_id"] else v for place, v in enumerate(row)))
                said(homes[0][1], about, f"a row of {name} was put back under its history")
            else:
                said(None, None, f"a row of {name} that belongs to no history was set aside")


def _lacks(conn: Connection, table: Table, at: dict[str, int], row: Row, home: int) -> bool:
    """Whether a history lacks a row, and its log has what adds it, if it is a block or a run."""
    number = row[at["sequence"]]
    entry, head = _ADDS.first(conn, history=home, number=number), _HEAD.first(conn, history=home)
    if head is None or number > head[0]:
        return False
    if table is changes:
        return entry is None
    if table is runs:
        return entry is not None and (entry[0], entry[2]) == (RUN_STARTED, row[at["id"]])
    there = _AT.first(conn, history=home, place=row[at["index"]]) is not None
    return not there and entry is not None and entry[:2] == (BLOCK_ADDED, row[at["index"]])


_AT = Prepared(
    select(blocks.c.index).where(blocks.c.history_id == bindparam("history"), blocks.c.index == bindparam("place"))
)
