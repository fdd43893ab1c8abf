"""Reading the log of one context, in pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy import Connection, and_, bindparam, func, select, true

from chatstore.changes import Entry
from chatstore.cursor import CursorFactory, tombstone
from chatstore.kinds import Selection
from chatstore.model import Block
from chatstore.operations import histories, reading, weighing
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import (
    BLOCK_COLUMNS,
    OF_BLOCK,
    OF_RUN,
    RUN_COLUMNS,
    Cursors,
    to_block,
    to_entry,
    to_erased_entry,
    to_run,
    to_run_entry,
    to_text_entry,
)
from chatstore.operations.selecting import Shape, conditions, shape, values
from chatstore.schema import BLOCK_CLOSED, HISTORY_ERASED, RUN_STARTED, TEXT_APPENDED, blocks, changes, not_closed, runs
from chatstore.schema import histories as histories_table

LOG_WINDOW = 16384
"""Entries of the log that one page looks through at most, so that every read is short."""
MOST_NEWS = 4_000_000
"""Characters that are handed over to all who follow a context; of more, each reads pages."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Selected changes with their numbers, and how far the log was read for them; `is_full`: as they weigh enough."""

    entries: list[Entry]
    position: int
    head: int
    is_over: bool = False
    is_full: bool = False


def log(
    conn: Connection, context_id: str, cursors: Cursors, selection: Selection, *, after: int, limit: int
) -> LogPage:
    """The next selected changes behind `after`: out of at most LOG_WINDOW entries, and at most `limit` beside text.

    The head is read first, so the page holds every entry up to its `position`. A block is shown as it is now: the
    pieces of a finished one are left out, for its end brings the whole text, and they may be gone. Raises
    CursorExpired where retention has removed what follows `after`.
    """
    # Asked before the head is read: the end of a run that is over is an entry of this page, or of an earlier one.
    over = selection.run is not None and _is_over(conn, context_id, selection.run)
    history = histories.find_or_tombstone(conn, context_id)
    if history is not None and history.erased:
        last = [to_erased_entry(history.head, context_id, cursors(context_id))] if history.head > after else []
        return LogPage(last, history.head, history.head, is_over=True)
    if history is None or history.head <= after:
        return LogPage([], after, 0 if history is None else history.head, over)
    page = _page(conn, history, context_id, cursors, selection, after=after, limit=limit)
    first, ended = _meanwhile(conn, history)
    while page.position == history.head and ended is not None:
        # A block ended behind the page while that was read. The page has left out its pieces, and the next page would
        # begin with the last of them: so this one goes on to the end of the block.
        history.head = ended
        page = _page(conn, history, context_id, cursors, selection, after=after, limit=limit)
        first, ended = _meanwhile(conn, history)
    # Each statement sees a state of its own: what retention removed between them is missing in the page.
    reading.check_kept(after, first, cursors(context_id))
    return replace(page, is_over=over)


def _page(
    conn: Connection,
    history: History,
    context_id: str,
    cursors: Cursors,
    selection: Selection,
    *,
    after: int,
    limit: int,
) -> LogPage:
    # Sequences of one history are dense but for what compaction removed, so the window may be added; the places of the
    # whole store are not (see `feed`).
    end = min(after + LOG_WINDOW, history.head)
    bound = {"history_id": history.id, **values(selection)}
    statement = _log(shape(selection), selection.wants_runs)
    rows, light = statement.upto(conn, weighing.ENOUGH, weighing.weight_of, after=after, end=end, limit=limit, **bound)
    if len(rows) == limit or not light:
        end = rows[-1][0]
    factory = cursors(context_id)
    entries = _entries(rows, context_id, factory)
    # Asked for only while something of it is open: the pieces of finished blocks are left out anyway.
    growing = {row[1]: to_block(row, context_id, factory) for row in _open(shape(selection)).all(conn, **bound)}
    if growing:
        found = {"history_id": history.id, "after": after, "end": end}
        pieces, few = _PIECES.upto(conn, weighing.ENOUGH, weighing.weight_of, **found)
        if not few:
            light, end = False, pieces[-1][0]
            entries = [entry for entry in entries if entry.sequence <= end]
        entries += [to_text_entry(n, at, text, growing[i], factory) for n, i, at, text in pieces if i in growing]
        entries.sort(key=lambda entry: entry.sequence)
    return LogPage(entries, end, history.head, is_full=not light)


def news(conn: Connection, context_id: str, cursors: Cursors, *, after: int, limit: int) -> LogPage:
    """All that was written behind `after`, in one statement; the head alone where that is as much as `limit`, or weighs
    more than others want to have kept, or where retention has removed some of it."""
    named = {"context_id": context_id, "tombstone": tombstone(context_id)}
    rows, whole = _NEWS.upto(conn, MOST_NEWS, weighing.weight_of, after=after, limit=limit, **named)
    if not whole or len(rows) == limit or (rows and rows[0][-1] > after):
        history = histories.find_or_tombstone(conn, context_id)
        return LogPage([], after, after if history is None else history.head)
    end = rows[-1][0] if rows else after
    return LogPage(_entries(rows, context_id, cursors(context_id)) if rows else [], end, end)


_RUN_STATE = Prepared(
    select(runs.c.state)
    .join(histories_table, histories_table.c.id == runs.c.history_id)
    .where(histories_table.c.context_id == bindparam("context_id"), runs.c.id == bindparam("run_id"))
)


def _is_over(conn: Connection, context_id: str, run_id: str) -> bool:
    row = _RUN_STATE.first(conn, context_id=context_id, run_id=run_id)
    return row is not None and row[0] != "running"


_OWN = (changes.c.sequence, changes.c.type, changes.c.offset, changes.c.text)


@lru_cache(maxsize=512)
def _log(selection: Shape, runs_too: bool) -> Prepared:
    wanted = and_(true(), *conditions(selection))
    if runs_too:
        statement = select(*_OWN, *BLOCK_COLUMNS, *RUN_COLUMNS)
        statement = statement.outerjoin(blocks, OF_BLOCK).outerjoin(runs, OF_RUN)
        run_wanted = runs.c.id == bindparam("run") if selection.run else runs.c.id.is_not(None)
        wanted = (blocks.c.id.is_not(None) & wanted) | run_wanted
    else:
        statement = select(*_OWN, *BLOCK_COLUMNS).join(blocks, OF_BLOCK)
    return Prepared(
        statement.where(
            changes.c.history_id == bindparam("history_id"),
            changes.c.sequence > bindparam("after"),
            changes.c.sequence <= bindparam("end"),
            changes.c.type != TEXT_APPENDED,
            wanted,
        )
        .order_by(changes.c.sequence)
        .limit(bindparam("limit"))
    )


# By both names, for an erasure takes the first one away.
_named = histories_table.c.context_id.in_([bindparam("context_id"), bindparam("tombstone")])
_of_history = select(histories_table.c.id).where(_named)
_NEWS = Prepared(
    select(*_OWN, *BLOCK_COLUMNS, *RUN_COLUMNS, select(histories_table.c.first).where(_named).scalar_subquery())
    .select_from(changes)
    .outerjoin(blocks, OF_BLOCK)
    .outerjoin(runs, OF_RUN)
    .where(changes.c.history_id == _of_history.scalar_subquery(), changes.c.sequence > bindparam("after"))
    .order_by(changes.c.sequence)
    .limit(bindparam("limit"))
)


def _entries(rows: list[Row], context_id: str, cursors: CursorFactory) -> list[Entry]:
    """Changes of the rows of a page, without the pieces of finished blocks; several about one block share it."""
    seen: dict[int, Block] = {}
    entries = []
    width = len(BLOCK_COLUMNS)
    for sequence, type, offset, text, *columns in rows:
        if type == HISTORY_ERASED:
            entries.append(to_erased_entry(sequence, context_id, cursors))
            continue
        if columns[1] is None and (type < RUN_STARTED or columns[width + 1] is None):
            continue  # what it is about was removed by retention
        if type >= RUN_STARTED:
            entries.append(to_run_entry(type, sequence, to_run(tuple(columns[width:]), context_id), cursors))
            continue
        block = seen.get(columns[1])
        if block is None:
            block = seen[columns[1]] = to_block(tuple(columns[:width]), context_id, cursors)
        if type != TEXT_APPENDED:
            entries.append(to_entry(type, sequence, block, cursors))
        elif block.state == "open":
            entries.append(to_text_entry(sequence, offset, text, block, cursors))
    return entries


def _meanwhile(conn: Connection, history: History) -> tuple[int, int | None]:
    """Where the history begins by now, and the last end of a block behind the head that is known, if there is one."""
    [(first, ended)] = _MEANWHILE.all(conn, history_id=history.id, head=history.head)
    return first, ended


@lru_cache(maxsize=512)
def _open(selection: Shape) -> Prepared:
    # `not_closed`, too: SQLite uses a partial index only for a query that has its condition to the letter, and that by
    # history has this one.
    return Prepared(
        select(*BLOCK_COLUMNS).where(
            blocks.c.history_id == bindparam("history_id"), not_closed, blocks.c.state == "open", *conditions(selection)
        )
    )


_last_ended = select(func.max(changes.c.sequence)).where(
    changes.c.history_id == bindparam("history_id"),
    changes.c.sequence > bindparam("head"),
    changes.c.type == BLOCK_CLOSED,
)
_MEANWHILE = Prepared(
    select(histories_table.c.first, _last_ended.scalar_subquery()).where(
        histories_table.c.id == bindparam("history_id")
    )
)

_PIECES = Prepared(
    select(changes.c.sequence, changes.c.block_index, changes.c.offset, changes.c.text)
    .where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence > bindparam("after"),
        changes.c.sequence <= bindparam("end"),
        changes.c.type == TEXT_APPENDED,
    )
    .order_by(changes.c.sequence)
)
