"""Repair of a history's own row: put back where its checksum proves it, else made anew from all else that is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from chatstore.checks import json_text
from chatstore.errors import InvalidInput
from chatstore.operations import checksums, histories
from chatstore.operations.erasing import ERASING
from chatstore.operations.histories import History
from chatstore.operations.integrity.checking_own import is_sound
from chatstore.operations.integrity.repairing_log import INDEX, SEQUENCE, TEXT, TYPE, Rows
from chatstore.operations.integrity.restoring import restored
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, RUN_COLUMNS
from chatstore.schema import HISTORY_ERASED, HISTORY_TAG, TEXT_APPENDED, blocks, changes, context_keys, runs, tags
from chatstore.schema import histories as table

Aside: TypeAlias = Callable[[str, dict[str, Any]], None]
Said: TypeAlias = Callable[[int | None, str], None]

_COLUMNS: Final = tuple(table.c)
_NAMES: Final = tuple("keys" if column.name == "context_keys" else column.name for column in _COLUMNS)
_AT = {name: place for place, name in enumerate(_NAMES)}
_UPDATED_AT, _TYPE_AT, _ROLE_AT = (BLOCK_COLUMNS.index(blocks.c[name]) for name in ("updated_at", "type", "role"))
_ENDED_AT, _STARTED_AT = (RUN_COLUMNS.index(runs.c[name]) for name in ("ended_at", "started_at"))

_ROWS = Prepared(select(*_COLUMNS).order_by(table.c.id))
_REMOVE = Prepared(delete(table).where(table.c.id == bindparam("history")))
_ADD = Prepared(insert(table).values({column.name: bindparam(column.name) for column in _COLUMNS}))
_COUNT = Prepared(
    update(table)
    .where(table.c.id == bindparam("history"))
    .values(
        head=bindparam("new_head"),
        count=bindparam("new_count"),
        last_user=bindparam("new_user"),
        updated_at=bindparam("new_time"),
    )
)
_KEYS = Prepared(
    select(context_keys.c.name, context_keys.c.value)
    .where(context_keys.c.history_id == bindparam("history"))
    .order_by(context_keys.c.name)
)
_TAGS = Prepared(
    select(tags.c.kind, tags.c.name)
    .where(tags.c.history_id == bindparam("history"), tags.c.block_index == HISTORY_TAG)
    .order_by(tags.c.kind, tags.c.name)
)
_FIRST_BLOCK = Prepared(
    select(blocks.c.sequence, blocks.c.index, blocks.c.created_at)
    .where(blocks.c.history_id == bindparam("history"))
    .order_by(blocks.c.index)
    .limit(1)
)
_ENTRIES = Prepared(
    select(changes.c.sequence, changes.c.type, changes.c.checksum)
    .where(changes.c.history_id == bindparam("history"))
    .order_by(changes.c.sequence.desc())
)
_FORGET = Prepared(delete(changes).where(changes.c.history_id == bindparam("history")))
_LOG_ERASED = Prepared(
    insert(changes).values({name: bindparam(name) for name in ("history_id", "sequence", "type", "checksum")})
)


def repair(
    conn: Connection,
    aside: Callable[[str | None, str, dict[str, Any]], None],
    said: Callable[[str | None, int | None, str], None],
) -> None:
    """Looks at the row of every history. What cannot be proved is set aside, and made anew from what finds it."""
    rows = _ROWS.all(conn)
    taken = {row[at] for row in rows for at in (_AT["id"], _AT["context_id"])}
    for row in rows:
        if _is_sound(row):
            continue
        aside(None, "histories", dict(zip((column.name for column in _COLUMNS), row, strict=True)))
        # A bit of the number and one of the checksum's upper half explain the same: what has rows has its number.
        places = _SEALED if any(rows_of.first(conn, history=row[0]) for rows_of in _ANY) else (0, *_SEALED)
        again = restored(row, places, lambda tried: _is_sound(tried) and _is_free(tried, row, taken))  # noqa: B023
        again = again or next((one for one in _alternatives(conn, row) if _is_sound(one)), None)
        done = "has its own row put back as it was"
        if again is None:
            again, done = _made_anew(conn, row), "has its own row made anew, " + _LOST
        _REMOVE.run(conn, history=row[0])
        _ADD.run(conn, **{column.name: value for column, value in zip(_COLUMNS, again, strict=True)})
        said(again[_AT["context_id"]], None, done)


_SEALED = tuple(
    _AT[name]
    for name in (
        *("context_id", "keys", "tags", "first", "first_index", "erased", "created_at", "settled_at"),
        "checksum",
    )
)
_LOST: Final = "under the name it has: its keys are those that find it, the values of its tags are lost"


_ANY: Final = tuple(
    Prepared(select(one.c.history_id).where(one.c.history_id == bindparam("history")).limit(1))
    for one in (changes, tags, context_keys)
)


def _is_sound(row: Row) -> bool:
    return is_sound(_history(row))


def _history(row: Row) -> History:
    return History(**dict(zip(_NAMES, row, strict=True)))


def _is_free(tried: Row, row: Row, taken: set[Any]) -> bool:
    return all(tried[at] == row[at] or tried[at] not in taken for at in (_AT["id"], _AT["context_id"]))


def _alternatives(conn: Connection, row: Row) -> Iterator[Row]:
    """The row with what else is stored says in the place of each column, one after the other and together."""
    first = _FIRST_BLOCK.first(conn, history=row[0])
    starts = [(row[_AT["first"]], row[_AT["first_index"]]), (0, 0)]
    if first is not None:
        starts.append((first[0] - 1, first[1]))
    times = [row[_AT["created_at"]], *(() if first is None else (first[2],))]
    settled = (row[_AT["settled_at"]], None, row[_AT["updated_at"]])
    keys, own = (row[_AT["keys"]], _keys(conn, row[0])), (row[_AT["tags"]], _tags(conn, row[0]))
    for start, created, at, key, tag, erased in product(
        starts, times, settled, keys, own, (row[_AT["erased"]], _erased(conn, row[0]))
    ):
        values = {"first": start[0], "first_index": start[1], "created_at": created, "settled_at": at}
        yield _with(row, **values, keys=key, tags=tag, erased=erased)


def _with(row: Row, **values: Any) -> Row:
    return tuple(values.get(name, value) for name, value in zip(_NAMES, row, strict=True))


def _made_anew(conn: Connection, row: Row) -> Row:
    """The row as all else that is stored has it, under a checksum of its own."""
    first = _FIRST_BLOCK.first(conn, history=row[0])
    start = (0, 0) if first is None or not first[1] else (first[0] - 1, first[1])
    name = str(row[_AT["context_id"]]).encode(errors="surrogateescape").decode(errors="replace")
    made = _with(
        row,
        context_id=name,
        keys=_keys(conn, row[0]),
        tags=_tags(conn, row[0]),
        erased=_erased(conn, row[0]),
        first=start[0],
        first_index=start[1],
        created_at=row[_AT["created_at"]] if first is None else first[2],
        settled_at=row[_AT["updated_at"]],
    )
    return _with(made, checksum=histories.seal(_history(made)) or 0)


def _keys(conn: Connection, history: int) -> str | None:
    found = {str(name): value for name, value in _KEYS.all(conn, history=history)}
    return _json(found) if found else None


def _tags(conn: Connection, history: int) -> str | None:
    found = [{"kind": kind, "name": name, "value": None} for kind, name in _TAGS.all(conn, history=history)]
    return _json(found) if found else None


def _json(value: Any) -> str | None:
    try:
        return json_text(value, "what was found")
    except InvalidInput:  # damaged, too
        return None


def _erased(conn: Connection, history: int) -> int | None:
    last = _ENTRIES.first(conn, history=history)
    return ERASING if last is not None and last[1] == HISTORY_ERASED else None


def bury(conn: Connection, history: History, aside: Aside, said: Said) -> None:
    """Leaves of an erased history what should be left: its row, and an entry of the log that says so.

    What else is there was to be erased, and is not kept aside: it is removed by the next erasure, or where none comes,
    by the next check that repairs.
    """
    entries = _ENTRIES.all(conn, history=history.id)
    proved = [one for one in entries if one[1:] == (HISTORY_ERASED, checksums.of_erasure(one[0]))]
    head = proved[0][0] if proved else history.head
    _FORGET.run(conn, history=history.id)
    _LOG_ERASED.run(
        conn, history_id=history.id, sequence=head, type=HISTORY_ERASED, checksum=checksums.of_erasure(head)
    )
    _count(conn, history, (head, 0, None, 0), aside)
    said(None, "was erased, and its row and its last entry in the log were made anew")


def count(conn: Connection, history: History, rows: Rows, aside: Aside, said: Said) -> None:
    """Sets the counters as the log and the blocks have them."""
    end = max(rows.blocks, default=rows.first_index - 1) + 1
    asked = [i for i, row in rows.blocks.items() if (row[_TYPE_AT], row[_ROLE_AT]) == ("message", "user")]
    new = (rows.next_number() - 1, end, max(asked, default=None), _time_of_last_change(history, rows))
    if rows.first != history.first:
        histories.write(conn, replace(history, first=rows.first))
    if _count(conn, history, new, aside) or rows.first != history.first:
        said(None, "has its counters made anew")


def _count(conn: Connection, history: History, new: Row, aside: Aside) -> bool:
    old = (history.head, history.count, history.last_user, history.updated_at)
    if old == new:
        return False
    aside("histories", {"id": history.id, **dict(zip(("head", "count", "last_user", "updated_at"), old, strict=True))})
    _COUNT.run(
        conn, history=history.id, **dict(zip(("new_head", "new_count", "new_user", "new_time"), new, strict=True))
    )
    return True


def _time_of_last_change(history: History, rows: Rows) -> int:
    last = next((e for e in reversed(rows.entries) if e[TYPE] != TEXT_APPENDED and e[SEQUENCE] > rows.first), None)
    if last is not None and last[INDEX] in rows.blocks:
        return int(rows.blocks[last[INDEX]][_UPDATED_AT])
    if last is not None and last[TEXT] in rows.runs:
        run = rows.runs[last[TEXT]]
        return int(run[_STARTED_AT] if run[_ENDED_AT] is None else run[_ENDED_AT])
    return history.created_at if history.settled_at is None else history.settled_at
