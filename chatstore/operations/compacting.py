"""Compaction: the pieces that a finished block grew by are removed from the log; its row has the whole text.

Nobody who reads the log is given the pieces of a finished block, whether they are still there or not, so no cursor
and no subscription can tell the difference.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, delete, select, update

from chatstore.operations.prepared import Prepared
from chatstore.operations.transaction import Transaction
from chatstore.schema import TEXT_APPENDED, blocks, changes, has_pieces

STEP: Final = 500
"""Pieces removed in one transaction: two to three milliseconds of the write lock."""

_OLDEST = Prepared(
    select(blocks.c.history_id, blocks.c.index, blocks.c.sequence, blocks.c.pieces_until)
    .where(has_pieces, blocks.c.updated_at <= bindparam("before"))
    .order_by(blocks.c.updated_at)
    .limit(1)
)
_REMOVE = Prepared(
    delete(changes).where(
        changes.c.id.in_(
            # A DELETE takes no LIMIT in PostgreSQL, and in SQLite only where it was compiled for that.
            select(changes.c.id)
            .where(
                changes.c.history_id == bindparam("history"),
                # Bounded, so that only this stretch of the log is looked through: no index has the pieces of one block.
                changes.c.sequence > bindparam("added"),
                changes.c.sequence <= bindparam("until"),
                changes.c.type == TEXT_APPENDED,
                changes.c.block_index == bindparam("at"),
            )
            .limit(bindparam("most"))
            .correlate(None)
        )
    )
)
_DONE = Prepared(
    update(blocks)
    .where(blocks.c.history_id == bindparam("history"), blocks.c.index == bindparam("at"))
    .values(pieces_until=None)
)


def step(transaction: Transaction, before: int) -> tuple[int, bool]:
    """Removes pieces of blocks that ended before this time: how many, and whether there may be more."""
    transaction.flush()
    removed = 0
    while removed < STEP:
        row = _OLDEST.first(transaction.conn, before=before)
        if row is None:
            return removed, False
        history, at, added, until = row
        most = STEP - removed
        count = _REMOVE.changed(transaction.conn, history=history, at=at, added=added, until=until, most=most)
        removed += count
        if count < most:
            _DONE.run(transaction.conn, history=history, at=at)
    return removed, True
