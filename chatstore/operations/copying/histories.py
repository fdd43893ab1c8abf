"""Copying histories, a few at a time: each is looked at before, and compared with what was read afterwards."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select

from chatstore.errors import StorageError, StoreDamaged
from chatstore.operations.copying.rows import BLOCK_BLOBS, CHANGES, OF_HISTORIES, Rows, Sum
from chatstore.operations.erasing import ERASED
from chatstore.operations.integrity.checking_beside import keys_of
from chatstore.operations.integrity.checking_history import HistoryCheck
from chatstore.operations.prepared import Prepared, Row
from chatstore.schema import HISTORY_ERASED, blobs, block_blobs, changes, context_keys, histories

HISTORIES: Final = Rows(histories, "id")
UNIT: Final = 5_000
"""Rows, about, that go together in one transaction."""
_EVERY: Final = -(2**63), 2**63 - 1
_ID, _CONTEXT, _KEYS, _HEAD, _COUNT, _FIRST, _FIRST_INDEX, _ERASED = (
    list(histories.c).index(histories.c[name])
    for name in ("id", "context_id", "context_keys", "head", "count", "first", "first_index", "erased")
)
_TYPE: Final = list(changes.c).index(changes.c.type)
_ADD_KEYS = Prepared(insert(context_keys).values({column.name: bindparam(column.name) for column in context_keys.c}))
_DROP_KEYS = Prepared(delete(context_keys).where(context_keys.c.history_id == bindparam("history")))
_HAS_BLOB = Prepared(select(func.length(blobs.c.content)).where(blobs.c.digest == bindparam("digest")))
_BLOB = Prepared(select(blobs.c.content).where(blobs.c.digest == bindparam("digest")))
_ADD_BLOB = Prepared(insert(blobs).values({column.name: bindparam(column.name) for column in blobs.c}))
_DROP_BLOBS = Prepared(delete(blobs).where(~exists().where(block_blobs.c.digest == blobs.c.digest)))


def every(conn: Connection) -> Iterator[Row]:
    """The own rows of all histories, as a copy has them: of a context that is being erased nothing else is copied."""
    for page in HISTORIES.pages(conn, *_EVERY):
        for row in page:
            yield (*row[:_ERASED], ERASED, *row[_ERASED + 1 :]) if row[_ERASED] else row


def blocks_of(row: Row) -> int:
    """How many blocks a history has."""
    return 0 if row[_ERASED] else int(row[_COUNT] - row[_FIRST_INDEX])


def is_erased(row: Row) -> bool:
    """Whether nothing but its number is left of a history."""
    return bool(row[_ERASED])


def units(rows: Iterable[Row], copied: Container[int]) -> Iterator[list[Row]]:
    """Histories that are still to be copied, in groups that follow each other without a gap."""
    unit: list[Row] = []
    size = 0
    for row in rows:
        whole = row[_ID] in copied
        alone = whole or row[_ERASED]
        # No history that is copied already may lie within: rows are read from the first id of a unit to its last.
        if unit and (alone or size >= UNIT):
            yield unit
            unit, size = [], 0
        if row[_ERASED] and not whole:
            yield [row]
        elif not whole:
            unit.append(row)
            size += row[_HEAD] - row[_FIRST] + blocks_of(row) + 1
    if unit:
        yield unit


def remove(target: Connection, history: int) -> None:
    """Removes what a copy has of a history, which has changed since."""
    for rows in OF_HISTORIES:
        rows.remove(target, history)
    _DROP_KEYS.run(target, history=history)
    HISTORIES.remove(target, history)


def copy(source: Connection, target: Connection, unit: Sequence[Row], *, check_copy: bool = False) -> None:
    """Copies a group of histories. Raises StoreDamaged where one of them is not as it was written, and StorageError
    where the copy is not what was read. `check_copy`: the copy is checked, which is the same, and not the source."""
    first, last = unit[0][_ID], unit[-1][_ID]
    if unit[0][_ERASED]:
        _copy_rows(CHANGES, source, target, first, last, only=HISTORY_ERASED)
    else:
        if not check_copy:
            _check(source, unit)
        for rows in OF_HISTORIES:
            _copy_rows(rows, source, target, first, last)
        _copy_bytes(source, target, first, last)
    HISTORIES.put(target, list(unit))
    _compare(HISTORIES, sum_of(unit), target, first, last)
    keys = [(name, value, row[_ID]) for row in unit for name, value in keys_of(row[_KEYS]).items()]
    if keys:
        _ADD_KEYS.many(target, keys)
    if check_copy:
        _check(target, unit)


def drop_unused_bytes(target: Connection) -> None:
    """Removes bytes that only what is not copied any more had."""
    _DROP_BLOBS.run(target)


def _check(conn: Connection, unit: Sequence[Row]) -> None:
    """Raises StoreDamaged where a history does not fit its log and its checksums."""
    for row in unit:
        wrong: list[str] = []
        tell = partial(_tell, wrong)
        HistoryCheck(lambda: nullcontext(conn), row[_ID], tell, lambda _: None).run()
        if wrong:
            raise StoreDamaged(f"context {row[_CONTEXT]!a}: {wrong[0]}; run chatstore check, and copy what is sound")


def _tell(wrong: list[str], index: int | None, table: str, what: str) -> None:
    wrong.append(f"{what} ({table})" if index is None else f"block {index}: {what} ({table})")


def _copy_rows(
    rows: Rows, source: Connection, target: Connection, first: int, last: int, *, only: int | None = None
) -> None:
    read = Sum()
    for page in rows.pages(source, first, last):
        wanted = page if only is None else [row for row in page if row[_TYPE] == only]
        rows.put(target, wanted)
        read.add(wanted)
    _compare(rows, read, target, first, last)


def _copy_bytes(source: Connection, target: Connection, first: int, last: int) -> None:
    """The bytes of parts that the target does not have yet."""
    for page in BLOCK_BLOBS.pages(source, first, last):
        for digest in sorted({row[-1] for row in page}):
            if _HAS_BLOB.first(target, digest=digest) is None:
                _ADD_BLOB.many(target, [(digest, _bytes(source, digest))])
                # Read back: bytes are in no sum, and their digest compares them.
                _bytes(target, digest)


def _bytes(conn: Connection, digest: bytes) -> bytes:
    row = _BLOB.first(conn, digest=digest)
    if row is None or sha256(row[0]).digest() != digest:
        raise StoreDamaged(f"the bytes kept as {digest.hex()} are missing, or are not those; run chatstore check")
    return bytes(row[0])


def _compare(rows: Rows, read: Sum, target: Connection, first: int, last: int) -> None:
    if rows.sum(target, first, last) != read:
        raise StorageError(
            f"what was put into the copy's {rows.table.name} is not what was read; nothing of it is kept"
        )


def sum_of(rows: Iterable[Row]) -> Sum:
    """How many there are, and what they are."""
    found = Sum()
    found.add(rows)
    return found
