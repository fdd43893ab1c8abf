"""What a history's own row says, against its checksum and its log, and what is left of one that was erased."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Table, bindparam, exists, select

from chatstore.operations import checksums, histories
from chatstore.operations.erasing import ERASED, ERASING
from chatstore.operations.histories import History
from chatstore.operations.integrity.checking_log import Tell
from chatstore.operations.integrity.restoring import restored
from chatstore.operations.prepared import Prepared
from chatstore.operations.retaining import last_change
from chatstore.schema import (
    HISTORY_ERASED,
    RUN_STARTED,
    append_keys,
    block_blobs,
    blocks,
    changes,
    context_keys,
    runs,
    tags,
)

_LAST_ENTRY = Prepared(
    select(changes.c.sequence, changes.c.type, changes.c.checksum)
    .where(changes.c.history_id == bindparam("history_id"))
    .order_by(changes.c.sequence.desc())
    .limit(2)
)
_BEFORE_THE_START = Prepared(
    select(changes.c.sequence)
    .where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence <= bindparam("first"),
        (changes.c.type != RUN_STARTED)
        | ~exists().where(
            runs.c.history_id == changes.c.history_id,
            runs.c.id == changes.c.text,
            runs.c.sequence == changes.c.sequence,
        ),
    )
    .order_by(changes.c.sequence)
)


def _any_of(table: Table) -> Prepared:
    return Prepared(select(table.c.history_id).where(table.c.history_id == bindparam("history_id")).limit(1))


_ANY: Final = {table.name: _any_of(table) for table in (blocks, runs, tags, context_keys, append_keys, block_blobs)}


def is_sound(history: History) -> bool:
    """Whether the columns that appends do not change are as they were written."""
    return histories.seal(history) == history.checksum


def name_of(history: History) -> str:
    """The id of a history's context: the one that was written, where one turned bit explains it."""
    if is_sound(history):
        return history.context_id
    # So that what is told is told of the context people know.
    name = restored((history.context_id,), (0,), lambda tried: is_sound(replace(history, context_id=tried[0])))
    return history.context_id if name is None else str(name[0])


def check_row(history: History, tell: Tell) -> None:
    """Looks at the row by itself."""
    if not is_sound(history):
        tell(None, "histories", f"its own row, under the name {history.context_id!a}, is not as it was written")


def check_erased(conn: Connection, history: History, tell: Tell) -> None:
    """Looks at what should be left of a history that was erased: its row, and its last entry in the log."""
    if history.erased not in (ERASING, ERASED) or (history.count, history.last_user, history.updated_at) != (
        0,
        None,
        0,
    ):
        tell(None, "histories", "it was erased, and its row says what cannot be")
    last, *more = _LAST_ENTRY.all(conn, history_id=history.id) or [(None, None, None)]
    if last != (history.head, HISTORY_ERASED, checksums.of_erasure(history.head)):
        tell(None, "changes", "it was erased, and its log does not end with that")
    if history.erased == ERASED:
        left = [name for name, any_of in _ANY.items() if any_of.first(conn, history_id=history.id)]
        for name in [*left, *(["changes"] if more else [])]:
            tell(None, name, "it was erased, and rows of it are left")


def check_times(conn: Connection, history: History, tell: Tell) -> None:
    """Looks at the time of its last change, and at what is left of the log before its start."""
    known = (last_change(conn, history.id, history.first), history.settled_at, history.created_at)
    if history.updated_at != next(time for time in known if time is not None):
        tell(None, "histories", "it has the wrong time of its last change")
    for (sequence,) in _BEFORE_THE_START.all(conn, history_id=history.id, first=history.first):
        tell(None, "changes", f"entry {sequence} of the log is left before its start, and starts no run")
