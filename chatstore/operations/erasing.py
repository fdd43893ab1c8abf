"""Erasing a context: nothing of it stays but a tombstone, so that its numbers are not used again.

First, in one transaction, the history gives up its name for a digest of it and says so in its log: from then on
everybody who reads or writes it is told. Then its rows are deleted in short steps, which anyone may carry on with.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Table, bindparam, delete, exists, select, tuple_, update

from chatstore.cursor import tombstone
from chatstore.operations.prepared import Prepared
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.schema import (
    HISTORY_ERASED,
    append_keys,
    being_erased,
    blobs,
    block_blobs,
    blocks,
    changes,
    context_keys,
    histories,
    is_open,
    runs,
    tags,
)

STEP: Final = 500
"""Rows of a table that one transaction removes."""
ERASING, ERASED = 1, 2

_BURY = Prepared(
    update(histories)
    .where(histories.c.id == bindparam("history"))
    .values(
        context_id=bindparam("name"),
        erased=bindparam("state"),
        context_keys=None,
        tags=None,
        last_user=None,
        created_at=0,
        updated_at=0,
    )
)
_FORGET_KEYS = Prepared(delete(context_keys).where(context_keys.c.history_id == bindparam("history")))
_FORGET_RUNS = Prepared(delete(runs).where(runs.c.history_id == bindparam("history")))
_FORGET_OPEN = Prepared(delete(blocks).where(blocks.c.history_id == bindparam("history"), is_open))
_UNFINISHED = Prepared(select(histories.c.id).where(being_erased).limit(1))
# Two processes that remove the rows of one history do it in turn: each sees what the other has left.
_TURN = Prepared(select(histories.c.id).where(histories.c.id == bindparam("history"), being_erased).with_for_update())
_DONE = Prepared(update(histories).where(histories.c.id == bindparam("history")).values(erased=ERASED))
_ITS_BLOBS = Prepared(
    select(block_blobs.c.digest).where(block_blobs.c.history_id == bindparam("history")).limit(STEP).distinct()
)
_FORGET_BLOB = Prepared(
    delete(block_blobs).where(
        block_blobs.c.history_id == bindparam("history"), block_blobs.c.digest == bindparam("blob")
    )
)
_DROP_BLOB = Prepared(
    delete(blobs).where(blobs.c.digest == bindparam("blob"), ~exists().where(block_blobs.c.digest == bindparam("blob")))
)


def _some_of(table: Table, *key: str) -> Prepared:
    """Deletes STEP rows of a history by the other columns of a unique key."""
    columns = [table.c[name] for name in key]
    chosen = select(*columns).where(table.c.history_id == bindparam("history")).limit(STEP).correlate(None)
    if table is changes:
        chosen = chosen.where(changes.c.type != HISTORY_ERASED)
    return Prepared(delete(table).where(table.c.history_id == bindparam("history"), tuple_(*columns).in_(chosen)))


_STEPS = (
    _some_of(tags, "kind", "name", "block_index"),
    _some_of(append_keys, "key"),
    _some_of(blocks, "index"),
    _some_of(changes, "sequence"),
)


def erase(transaction: Transaction, context: ContextRef) -> bool:
    """Takes a context's name from its history and tells everybody. False: there is none, or not any more."""
    history = transaction.history_or_tombstone(context.context_id)
    if history is None or history.erased:
        return False
    transaction.log_erased(history, context.context_id)
    transaction.flush()  # what the same commit wrote to it goes too
    history.erased, history.last_user, history.keys, history.tags = ERASING, None, None, None
    for forget in (_FORGET_KEYS, _FORGET_RUNS, _FORGET_OPEN):
        forget.run(transaction.conn, history=history.id)
    _BURY.run(transaction.conn, history=history.id, name=tombstone(context.context_id), state=ERASING)
    return True


def purge(transaction: Transaction) -> bool:
    """Deletes some rows of erased histories; whether there may be more."""
    row = _UNFINISHED.first(transaction.conn)
    if row is None:
        return False
    history = row[0]
    if _TURN.first(transaction.conn, history=history) is None:
        return True  # another process has finished it
    for (digest,) in (held := _ITS_BLOBS.all(transaction.conn, history=history)):
        _FORGET_BLOB.run(transaction.conn, history=history, blob=digest)
        _DROP_BLOB.run(transaction.conn, blob=digest)
    if not held and not any(step.changed(transaction.conn, history=history) for step in _STEPS):
        _DONE.run(transaction.conn, history=history)
    return True
