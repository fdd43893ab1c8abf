"""Rows that are about to change, proved first by their last entry in the log, which is read with them.

A change is logged under a new checksum. Of a row that was damaged before, it would say for ever that it is right.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from chatstore.errors import BlockNotFound, StoreDamaged
from chatstore.ids import id_bytes, index_of
from chatstore.operations import checksums
from chatstore.operations.checksums import checked
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row, of_row
from chatstore.operations.rows import BLOCK_COLUMNS, RUN_COLUMNS, SEQUENCE_AT
from chatstore.schema import RUN_STARTED, TEXT_APPENDED, blocks, changes, is_replacing, runs

REPAIR: Final = "run: chatstore check --repair"

_last = changes.alias("last")
_replacing = changes.alias("replacing")
_NEWEST = (
    select(func.max(_replacing.c.sequence))
    .where(
        _replacing.c.history_id == blocks.c.history_id,
        _replacing.c.block_index == blocks.c.index,
        *is_replacing("replacing"),
    )
    .correlate(blocks)
    .scalar_subquery()
)
_OF_BLOCK = (_last.c.history_id == of_row(blocks.c.history_id)) & (
    _last.c.sequence == func.coalesce(_NEWEST, blocks.c.sequence)
)
_OF_RUN = (_last.c.history_id == of_row(runs.c.history_id)) & (_last.c.sequence == runs.c.sequence)
_BLOCKS_WIDE, _RUNS_WIDE = len(BLOCK_COLUMNS), len(RUN_COLUMNS)


def blocks_where(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    """Blocks, each with the number, the type and the checksum of the last entry about it, for `proved`."""
    return (
        select(*BLOCK_COLUMNS, _last.c.sequence, _last.c.type, _last.c.checksum)
        .select_from(blocks)
        .outerjoin(_last, _OF_BLOCK)
        .where(*conditions)
    )


def runs_where(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    """Runs, each with the number, the type and the checksum of its start, for `proved_run`."""
    return (
        select(*RUN_COLUMNS, _last.c.sequence, _last.c.type, _last.c.checksum)
        .select_from(runs)
        .outerjoin(_last, _OF_RUN)
        .where(*conditions)
    )


def proved(found: Row) -> tuple[Row, Row]:
    """A block's row, and the number and the checksum of its last entry. Raises StoreDamaged where it is not that."""
    row, (sequence, type, checksum) = found[:_BLOCKS_WIDE], found[_BLOCKS_WIDE:]
    own = checked(checksums.of_block, sequence, type, row)
    # Only the lower half is of the row; the upper one is of the entry that this one replaced.
    if checksum is None or own != checksums.halves(checksum)[0]:
        raise StoreDamaged(f"block {row[1]} is not as it was written; {REPAIR}")
    return row, (sequence, checksum)


def proved_run(found: Row) -> tuple[Row, Row]:
    """The row of a run that is not over, and the number and the checksum of its start. Raises StoreDamaged where it is
    not what that says."""
    row, (sequence, type, checksum) = found[:_RUNS_WIDE], found[_RUNS_WIDE:]
    if type != RUN_STARTED or checked(checksums.of_run, sequence, type, row) != checksum:
        raise StoreDamaged(f"run {row[1]!a} is not as it was written; {REPAIR}")
    return row, (sequence, checksum)


_BLOCK = Prepared(
    blocks_where(
        blocks.c.history_id == bindparam("history_id"),
        blocks.c.index == bindparam("place"),
        blocks.c.id == bindparam("block_id"),
    )
)


def block_row(conn: Connection, history: History | None, block_id: str) -> tuple[Row, Row]:
    """The row of one block, and its last entry. Raises BlockNotFound."""
    raw = id_bytes(block_id)
    found = None if history is None else _BLOCK.first(conn, history_id=history.id, place=index_of(raw), block_id=raw)
    if found is None:
        raise BlockNotFound(f"no block {block_id} in this history; blocks are looked up in their own context")
    return proved(found)


_PIECES = Prepared(
    select(changes.c.sequence, changes.c.offset, changes.c.text, changes.c.checksum)
    .where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence > bindparam("after"),
        changes.c.type == TEXT_APPENDED,
        changes.c.block_index == bindparam("block_index"),
    )
    .order_by(changes.c.sequence)
)


def text_of(conn: Connection, row: Row) -> str:
    """The text of an open block, joined from the log. Raises StoreDamaged where a piece is missing or not as it was."""
    pieces, end = [], 0
    index = row[1]
    for sequence, offset, text, checksum in _PIECES.all(
        conn, history_id=row[0], after=row[SEQUENCE_AT], block_index=index
    ):
        if offset != end or checked(checksums.of_text, sequence, index, offset, text) != checksum:
            raise StoreDamaged(f"the text of block {index} is not as it was written; {REPAIR}")
        pieces.append(text)
        end += len(text)
    return "".join(pieces)
