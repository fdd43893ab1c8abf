"""Erasing a context: nothing of it stays but a tombstone, so that its numbers are not used again.

First, in one transaction, the history gives up its name for a digest of it and says so in its log: from then on
everybody who reads or writes it is told. Then its rows are deleted in short steps, and what is left of them in the
files is overwritten. It counts as being erased until all of that is done, and anyone may carry on with it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table, bindparam, delete, func, literal, select, tuple_, update

from chatstore.cursor import tombstone
from chatstore.operations import dropping, histories
from chatstore.operations.prepared import Prepared, Row
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
    is_open,
    runs,
    tags,
)
from chatstore.schema import histories as histories_table

STEP: Final = 500
"""Rows of a table that one transaction removes at a time, and about how many it removes in all."""
STEP_SIZE: Final = 1_000_000
"""Characters and bytes of text and data that it removes, about, so that the database's log stays short."""
ERASING, ERASED = 1, 2
"""What the row of a history says of it while its rows are removed, and once nothing is left of it."""

_BURY = Prepared(
    update(histories_table)
    .where(histories_table.c.id == bindparam("history"))
    .values(
        context_id=bindparam("name"),
        erased=bindparam("state"),
        context_keys=None,
        tags=None,
        count=0,
        last_user=None,
        first=0,
        first_index=0,
        created_at=0,
        updated_at=0,
        settled_at=None,
        checksum=bindparam("new_checksum"),
    )
)
_FORGET_KEYS = Prepared(delete(context_keys).where(context_keys.c.history_id == bindparam("history")))
_FORGET_RUNS = Prepared(delete(runs).where(runs.c.history_id == bindparam("history")))
_FORGET_OPEN = Prepared(delete(blocks).where(blocks.c.history_id == bindparam("history"), is_open))
_UNFINISHED = Prepared(select(histories_table.c.id).where(being_erased))
# Two processes that remove the rows of one history do it in turn: each sees what the other has left.
_TURN = Prepared(
    select(histories_table.c.id).where(histories_table.c.id == bindparam("history"), being_erased).with_for_update()
)
_DONE = Prepared(update(histories_table).where(histories_table.c.id == bindparam("history")).values(erased=ERASED))
_ITS_BLOBS = Prepared(
    select(block_blobs.c.digest, func.length(blobs.c.content))
    .join_from(block_blobs, blobs, blobs.c.digest == block_blobs.c.digest, isouter=True)
    .where(block_blobs.c.history_id == bindparam("history"))
    .limit(STEP)
    .distinct()
)
_FORGET_BLOB = Prepared(
    delete(block_blobs).where(
        block_blobs.c.history_id == bindparam("history"), block_blobs.c.digest == bindparam("blob")
    )
)


def _some_of(table: Table, *key: str) -> Prepared:
    """Deletes STEP rows of a history by the other columns of a unique key."""
    columns = [table.c[name] for name in key]
    # By a selection: a DELETE takes no LIMIT in PostgreSQL, and in SQLite only where it was compiled for that.
    chosen = select(*columns).where(table.c.history_id == bindparam("history")).limit(STEP).correlate(None)
    return Prepared(delete(table).where(table.c.history_id == bindparam("history"), tuple_(*columns).in_(chosen)))


def _in_order(table: Table, key: str, *sizes: str, **but: int) -> tuple[Prepared, Prepared]:
    """The next rows of a history by another column of its key, with their sizes; and what deletes them up to one."""
    its = [table.c.history_id == bindparam("history"), *(table.c[name] != value for name, value in but.items())]
    size = sum((func.coalesce(func.length(table.c[name]), 0) for name in sizes), literal(0))
    return (
        Prepared(select(table.c[key], size).where(*its).order_by(table.c[key]).limit(STEP)),
        Prepared(delete(table).where(*its, table.c[key] <= bindparam("until"))),
    )


_SMALL = (_some_of(tags, "kind", "name", "block_index"), _some_of(append_keys, "key"))
_LARGE = (
    _in_order(blocks, "index", "text", "data", "parts"),
    # That entry stays: by it those hear of the erasure who follow the store, however late they come.
    _in_order(changes, "sequence", "text", type=HISTORY_ERASED),
)


def erase(transaction: Transaction, context: ContextRef) -> bool:
    """Takes a context's name from its history and tells everybody. False: there is no such history, or not any more."""
    history = transaction.history_or_tombstone(context.context_id)
    if history is None or history.erased:
        return False
    transaction.log_erased(history, context.context_id)
    transaction.flush()  # what the same commit wrote to it goes too
    history.context_id, history.erased, history.keys, history.tags = tombstone(context.context_id), ERASING, None, None
    history.count = history.first = history.first_index = history.created_at = history.updated_at = 0
    history.last_user = history.settled_at = None
    # These at once: contexts are found by the first, and what is open under a lease is ended for a dead process, in a
    # history that takes no more writes.
    for forget in (_FORGET_KEYS, _FORGET_RUNS, _FORGET_OPEN):
        forget.run(transaction.conn, history=history.id)
    history.checksum = histories.seal(history) or 0
    _BURY.run(
        transaction.conn,
        history=history.id,
        name=history.context_id,
        state=ERASING,
        new_checksum=history.checksum,
    )
    return True


def is_unfinished(conn: Connection) -> bool:
    """Whether anything is being erased."""
    return unfinished(conn) > 0


def unfinished(conn: Connection) -> int:
    """How many contexts are being erased."""
    return len(_UNFINISHED.all(conn))


def purge(conn: Connection) -> list[int] | None:
    """Deletes some rows of what is being erased. None: there may be more; else the histories that have none left."""
    begun = [row[0] for row in _UNFINISHED.all(conn)]
    removed = 0
    for history in begun:
        removed += _purge(conn, history)
        if removed >= STEP:
            return None
    # Only a step that found nothing shows that there is nothing: each takes no more than its share.
    return begun if removed == 0 else None


def finish(conn: Connection, purged: list[int]) -> None:
    """Notes that nothing of these histories is left, in any file."""
    for history in purged:
        _DONE.run(conn, history=history)


def _purge(conn: Connection, history: int) -> int:
    """Deletes some rows of a history; how many, or STEP where they were large."""
    if _TURN.first(conn, history=history) is None:
        return 0  # another process has finished it
    removed = sum(step.changed(conn, history=history) for step in _SMALL)
    held = sorted(_ITS_BLOBS.all(conn, history=history))
    for digest, _ in (some := _up_to(held, STEP_SIZE)):
        _FORGET_BLOB.run(conn, history=history, blob=digest)
        dropping.drop_blob(conn, digest)
    removed += len(some) if len(some) == len(held) else STEP
    for following, remove in _LARGE:
        if removed >= STEP:
            break
        rows = following.all(conn, history=history)
        if some := _up_to(rows, STEP_SIZE):
            count = remove.changed(conn, history=history, until=some[-1][0])
            removed += count if len(some) == len(rows) else STEP
    return removed


def _up_to(rows: list[Row], size: int) -> list[Row]:
    """The first of rows that end with a size, at least one and as many as are not larger together."""
    some: list[Row] = []
    for row in rows:
        if some and size < (row[-1] or 0):
            break
        size -= row[-1] or 0
        some.append(row)
    return some
