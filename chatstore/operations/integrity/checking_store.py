"""What a store keeps beside its histories: what finds them by keys, leases, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from sqlalchemy import Connection, bindparam, select

from chatstore.operations import checksums
from chatstore.operations.checksums import checked
from chatstore.operations.integrity.checking_beside import keys_of
from chatstore.operations.prepared import Prepared, Row
from chatstore.schema import append_keys, context_keys, histories, leases, store_info

Found: TypeAlias = Callable[[int | None, str | None, str, str], None]
"""Takes a problem: the history's number and its context's id, if it is about one, the table, and what is wrong."""
Page: TypeAlias = Callable[[Connection, Found, int, int], int]
"""Looks at a page of rows, given the offset and the most it takes; how many there were."""

_BITS: Final = 63

_KEY_ROWS = Prepared(
    select(
        *(context_keys.c[name] for name in ("name", "value", "history_id")),
        histories.c.context_id,
        histories.c.context_keys,
    )
    .outerjoin(histories, histories.c.id == context_keys.c.history_id)
    .order_by(context_keys.c.name, context_keys.c.value, context_keys.c.history_id)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_APPEND_KEYS = Prepared(
    select(*append_keys.c, histories.c.context_id, histories.c.count)
    .outerjoin(histories, histories.c.id == append_keys.c.history_id)
    .order_by(append_keys.c.history_id, append_keys.c.key)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_LEASES = Prepared(select(*leases.c).order_by(leases.c.id).limit(bindparam("limit")).offset(bindparam("offset")))
_INFO = Prepared(
    select(*store_info.c).order_by(store_info.c.name).limit(bindparam("limit")).offset(bindparam("offset"))
)
_NEIGHBOURS = Prepared(
    select(histories.c.id, histories.c.context_id).where(histories.c.id.in_([bindparam(f"n{n}") for n in range(_BITS)]))
)


def parts() -> Iterator[tuple[str, Page]]:
    """The tables whose rows are looked at page by page."""
    yield "context_keys", _context_keys
    yield "append_keys", _append_keys
    yield "leases", _leases
    yield "store_info", _store_info


def neighbours(conn: Connection, history_id: int) -> list[tuple[int, str]]:
    """The histories that are there whose number differs in one bit, with their contexts."""
    rows = _NEIGHBOURS.all(conn, **{f"n{bit}": history_id ^ 1 << bit for bit in range(_BITS)})
    return [(row[0], row[1]) for row in rows]


def is_key_sound(row: Row) -> bool:
    """Whether the row of an append key is as it was written."""
    return bool(checked(checksums.of_key, *row[:5]) == row[5])


def is_lease_sound(row: Row) -> bool:
    """The same, of a lease's row."""
    id, machine, pid, started, seconds, beats, checksum = row
    own = checked(checksums.of_lease, machine, pid, started, seconds)
    return own is not None and bool(checksums.numbered(own, id) + beats == checksum)


def is_info_sound(row: Row) -> bool:
    """The same, of what the store says of itself."""
    return bool(checked(checksums.of_info, *row[:2]) == row[2])


def _context_keys(conn: Connection, found: Found, offset: int, limit: int) -> int:
    rows = _KEY_ROWS.all(conn, limit=limit, offset=offset)
    for name, value, history_id, context_id, keys in rows:
        if keys_of(keys).get(name) != value:
            found(history_id, context_id, "context_keys", f"it is found by a key that is not its own: {name!a}")
    return len(rows)


def _append_keys(conn: Connection, found: Found, offset: int, limit: int) -> int:
    rows = _APPEND_KEYS.all(conn, limit=limit, offset=offset)
    for row in rows:
        history_id, key, _, first, count, _, context_id, blocks = row
        if not is_key_sound(row):
            # Most damage is one bit (see `restoring`): if that of the history's number, the key is another history's.
            fitting = [one for one in neighbours(conn, history_id) if is_key_sound((one[0], *row[1:6]))]
            owner, name = fitting[0] if fitting else (history_id, context_id)
            found(owner, name, "append_keys", f"the row of key {key!a} is not as it was written")
        elif blocks is None or not 0 <= first < first + count <= blocks:
            found(history_id, context_id, "append_keys", f"key {key!a} stands for blocks that are not there")
    return len(rows)


def _leases(conn: Connection, found: Found, offset: int, limit: int) -> int:
    rows = _LEASES.all(conn, limit=limit, offset=offset)
    for row in rows:
        if not is_lease_sound(row):
            found(None, None, "leases", f"the row of lease {row[0]} is not as it was written")
    return len(rows)


def _store_info(conn: Connection, found: Found, offset: int, limit: int) -> int:
    rows = _INFO.all(conn, limit=limit, offset=offset)
    for row in rows:
        if not is_info_sound(row):
            found(None, None, "store_info", f"what the store says of itself as {row[0]!a} is not as it was written")
    return len(rows)
