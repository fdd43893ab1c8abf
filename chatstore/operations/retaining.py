"""Retention: the oldest blocks of each history are removed, by a policy, and where the rest begins is kept.

Numbers stay as they are. So do the keys of appends, at about 60 bytes each: a retry is never stored a second time.
A cursor from before raises CursorExpired, which says where to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from chatstore.errors import StoreDamaged
from chatstore.operations import checksums, dropping, histories
from chatstore.operations.histories import HISTORY_COLUMNS, History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import OF_BLOCK, OF_RUN
from chatstore.operations.transaction import Transaction
from chatstore.schema import (
    RUN_STARTED,
    TEXT_APPENDED,
    block_blobs,
    blocks,
    changes,
    is_open,
    is_replacing,
    is_running,
    not_closed,
    runs,
    store_info,
    tags,
)
from chatstore.schema import histories as histories_table

HISTORIES: Final = 100
"""Histories that one step looks at."""
BLOCKS, CHANGES = 500, 5_000
"""Blocks that one step removes of a history, and about how many changes, at most."""
PRUNED: Final = "pruned"
"""The name, in `store_info`, of the place in the store's log up to which changes may be missing."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept: the newest `blocks` of each history, and those created at `since` or later (microseconds)."""

    blocks: int | None
    since: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step removed, and behind which history the next one goes on; None: all were looked at."""

    removed: int
    after: int | None


_NEXT = Prepared(
    select(histories_table.c.context_id, *HISTORY_COLUMNS)
    .where(histories_table.c.id > bindparam("after"), histories_table.c.erased.is_(None))
    .order_by(histories_table.c.id)
    .limit(HISTORIES)
)
_OF = blocks.c.history_id == bindparam("history")
_YOUNG = Prepared(
    select(blocks.c.index)
    .where(_OF, blocks.c.index >= bindparam("start"), blocks.c.created_at >= bindparam("since"))
    .order_by(blocks.c.index)
    .limit(1)
)
# Both conditions: the index by history has the first, that of `is_open` is by lease.
_OLDEST_OPEN = Prepared(select(func.min(blocks.c.index)).where(_OF, not_closed, is_open))
_ADDED = Prepared(select(blocks.c.sequence).where(_OF, blocks.c.index == bindparam("at")))
_GONE = changes.c.history_id == bindparam("history"), changes.c.sequence <= bindparam("until")
_LAST_ID = Prepared(select(func.max(changes.c.id)).where(*_GONE))
_BYTES = Prepared(
    select(block_blobs.c.digest)
    .where(block_blobs.c.history_id == bindparam("history"), block_blobs.c.block_index < bindparam("end"))
    .distinct()
)
_REMOVE = (
    Prepared(delete(blocks).where(_OF, blocks.c.index < bindparam("end"))),
    Prepared(
        delete(tags).where(
            tags.c.history_id == bindparam("history"), tags.c.block_index >= 0, tags.c.block_index < bindparam("end")
        )
    ),
    Prepared(
        delete(block_blobs).where(
            block_blobs.c.history_id == bindparam("history"), block_blobs.c.block_index < bindparam("end")
        )
    ),
)
# The start of a run proves its row, alone while it goes on.
_REMOVE_CHANGES = Prepared(
    delete(changes).where(
        *_GONE,
        ~and_(
            changes.c.type == RUN_STARTED,
            exists().where(runs.c.history_id == changes.c.history_id, runs.c.id == changes.c.text),
        ),
    )
)
_REMOVE_RUNS = Prepared(
    delete(runs).where(
        runs.c.history_id == bindparam("history"),
        runs.c.sequence <= bindparam("until"),
        ~is_running,
        ~exists().where(blocks.c.history_id == runs.c.history_id, blocks.c.run_id == runs.c.id),
    )
)
_STAYS: Final[tuple[ColumnElement[bool], ...]] = (
    changes.c.history_id == bindparam("history"),
    *is_replacing("changes"),
    changes.c.sequence > bindparam("until"),
)
_LEFT_OF_BLOCKS = Prepared(
    select(changes.c.sequence, changes.c.type, changes.c.block_index).where(
        *_STAYS, changes.c.block_index >= bindparam("start"), changes.c.block_index < bindparam("end")
    )
)
_LEFT_OF_RUNS = Prepared(
    select(changes.c.sequence, changes.c.type, changes.c.text).where(
        *_STAYS,
        changes.c.block_index.is_(None),
        ~exists().where(runs.c.history_id == changes.c.history_id, runs.c.id == changes.c.text),
    )
)
_SEAL_LEFT = Prepared(
    update(changes)
    .where(changes.c.history_id == bindparam("history"), changes.c.sequence == bindparam("number"))
    .values(checksum=bindparam("new_checksum"))
)
_LAST_CHANGE = Prepared(
    select(func.coalesce(blocks.c.updated_at, runs.c.ended_at, runs.c.started_at))
    .select_from(changes)
    .outerjoin(blocks, OF_BLOCK)
    .outerjoin(runs, OF_RUN)
    .where(changes.c.history_id == bindparam("history"), changes.c.sequence > bindparam("first"))
    .where(changes.c.type != TEXT_APPENDED)
    .order_by(changes.c.sequence.desc())
    .limit(1)
)
_PRUNED = Prepared(select(store_info.c.value, store_info.c.checksum).where(store_info.c.name == PRUNED))
_HELD_PRUNED = Prepared(select(store_info.c.value).where(store_info.c.name == PRUNED).with_for_update())
_ADD_PRUNED = Prepared(insert(store_info))
_SET_PRUNED = Prepared(
    update(store_info)
    .where(store_info.c.name == PRUNED)
    .values(value=bindparam("place"), checksum=bindparam("new_checksum"))
)


def step(transaction: Transaction, policy: Policy, after: int) -> Progress:
    """Removes what a policy does not keep of some histories behind the one with the id `after`. Only those that it
    removes something of are held.

    A history whose own row is damaged is left as it is: what it says of its start is not to be trusted.
    """
    transaction.flush()
    _check_place(transaction.conn)
    rows = _NEXT.all(transaction.conn, after=after)
    wanted = _to_prune(transaction, rows, policy)
    transaction.hold(context_id for _, context_id in wanted)
    removed = 0
    for id, context_id in wanted:
        history = transaction.history_or_tombstone(context_id)
        if history is None or history.erased or histories.seal(history) != history.checksum:
            continue  # meanwhile, by another process; or it is damaged
        removed += _prune(transaction, history, policy)
        if removed >= BLOCKS:
            return Progress(removed, id - 1)  # there may be more of it
    return Progress(removed, rows[-1][1] if len(rows) == HISTORIES else None)


def _to_prune(transaction: Transaction, rows: list[Row], policy: Policy) -> list[tuple[int, str]]:
    """The ids of histories that have more than is kept, as far as one step goes, and of their contexts."""
    found, blocks = [], 0
    for context_id, *columns in rows:
        history = History(*columns)
        if (more := _kept_from(transaction, history, policy) - history.first_index) > 0:
            found.append((history.id, context_id))
            blocks += more
        if blocks >= BLOCKS:
            break
    return found


def _prune(transaction: Transaction, history: History, policy: Policy) -> int:
    conn = transaction.conn
    end = min(_kept_from(transaction, history, policy), history.first_index + BLOCKS)
    until = _until(transaction, history, end)
    # A block may have grown by thousands of pieces: then fewer blocks are one step, but never none.
    while until - history.first > CHANGES and end - history.first_index > 1:
        end = history.first_index + (end - history.first_index) // 2
        until = _until(transaction, history, end)
    if end <= history.first_index:
        return 0
    # Asked while the rows are there that prove it.
    settled = last_change(conn, history.id, history.first)
    digests = _BYTES.all(conn, history=history.id, end=end)
    place = _LAST_ID.first(conn, history=history.id, until=until)
    for remove in _REMOVE:
        remove.run(conn, history=history.id, end=end)
    _REMOVE_RUNS.run(conn, history=history.id, until=until)
    _REMOVE_CHANGES.run(conn, history=history.id, until=until)
    _seal_left(conn, history, until, end)
    for (digest,) in sorted(digests):
        dropping.drop_blob(conn, digest)
    _note(transaction, 0 if place is None or place[0] is None else place[0])
    removed = end - history.first_index
    history.first, history.first_index = until, end
    history.settled_at = history.settled_at if settled is None else settled
    if history.last_user is not None and history.last_user < end:
        history.last_user = None
    histories.write(conn, history)
    return removed


def _seal_left(conn: Connection, history: History, until: int, end: int) -> None:
    """Gives a checksum of their own to entries that stay, about blocks and runs that are removed."""
    # The checksum of such an entry is also of a row that is gone: by itself nothing could tell it from a damaged one.
    left = _LEFT_OF_BLOCKS.all(conn, history=history.id, until=until, start=history.first_index, end=end)
    left += _LEFT_OF_RUNS.all(conn, history=history.id, until=until)
    for number, type, about in left:
        own = checksums.of_left(number, type, about)
        _SEAL_LEFT.run(conn, history=history.id, number=number, new_checksum=own)


def last_change(conn: Connection, history_id: int, first: int) -> int | None:
    """The time of a history's last change, as the block or the run has it that the log names last, if that is there."""
    row = _LAST_CHANGE.first(conn, history=history_id, first=first)
    return None if row is None else row[0]


def _kept_from(transaction: Transaction, history: History, policy: Policy) -> int:
    """The index of the first block that is kept; an open block and all behind it are."""
    end = history.first_index
    if policy.blocks is not None:
        end = max(end, history.count - policy.blocks)
    if policy.since is not None:
        young = _YOUNG.first(transaction.conn, history=history.id, start=end, since=policy.since)
        end = history.count if young is None else max(end, young[0])
    oldest = _OLDEST_OPEN.first(transaction.conn, history=history.id)
    return end if oldest is None or oldest[0] is None else min(end, oldest[0])


def _until(transaction: Transaction, history: History, end: int) -> int:
    """The last change before a block was added."""
    row = _ADDED.first(transaction.conn, history=history.id, at=end)
    return history.head if row is None else int(row[0]) - 1


def _note(transaction: Transaction, place: int) -> None:
    """Held while it is compared: another process may be at other histories, and the place must not go back."""
    if pruned(transaction.conn) is None:
        _ADD_PRUNED.many(transaction.conn, [(PRUNED, "0", checksums.of_info(PRUNED, "0"))])
    held = _HELD_PRUNED.first(transaction.conn)
    if held is not None and place > int(held[0]):
        _SET_PRUNED.run(transaction.conn, place=str(place), new_checksum=checksums.of_info(PRUNED, str(place)))


def _check_place(conn: Connection) -> None:
    row = _PRUNED.first(conn)
    if row is not None and checksums.checked(checksums.of_info, PRUNED, row[0]) != row[1]:
        raise StoreDamaged("what the store says of itself is not as it was written; run: chatstore check --repair")


def pruned(conn: Connection) -> int | None:
    """The place in the store's log up to which changes may be missing; None where retention never removed any."""
    row = _PRUNED.first(conn)
    return None if row is None else int(row[0])
