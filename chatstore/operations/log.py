"""Reading the log: of one context in pages, and where the whole store has moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy import Connection, and_, bindparam, func, literal_column, select, true

from chatstore.changes import Entry
from chatstore.cursor import CursorFactory
from chatstore.kinds import Selection
from chatstore.model import Block
from chatstore.operations import histories
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import (
    BLOCK_COLUMNS,
    RUN_COLUMNS,
    Cursors,
    to_block,
    to_entry,
    to_run,
    to_run_entry,
    to_text_entry,
)
from chatstore.operations.selecting import Shape, conditions, shape, values
from chatstore.schema import BLOCK_CLOSED, RUN_STARTED, TEXT_APPENDED, blocks, changes, not_closed, runs
from chatstore.schema import histories as histories_table

LOG_WINDOW = 16384
"""Entries of the log that one page looks through at most, so that every read is short."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Selected changes with their numbers, and how far the log was read for them."""

    entries: list[Entry]
    position: int
    head: int
    run_is_over: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """The log of one history behind `after` and up to `end`; `has_text` says that pieces of text may be in it."""

    history_id: int
    context_id: str
    after: int
    end: int
    has_text: bool = True


def log(
    conn: Connection, context_id: str, cursors: Cursors, selection: Selection, *, after: int, limit: int
) -> LogPage:
    """The next selected changes behind `after`: out of at most LOG_WINDOW entries, and at most `limit` beside text.

    The head is read first, so the page holds every entry up to its `position`. A block is shown as it is now: the
    pieces of a finished one are left out, for its end brings the whole text, and they may be gone.
    """
    # Asked before the head is read: the end of a run that is over is an entry of this page, or of an earlier one.
    over = selection.run is not None and _is_over(conn, context_id, selection.run)
    history = histories.find(conn, context_id)
    if history is None or history.head <= after:
        return LogPage([], after, 0 if history is None else history.head, over)
    page = read(conn, Stretch(history.id, context_id, after, history.head), cursors, selection, limit=limit)
    return replace(page, run_is_over=over)


def read(conn: Connection, stretch: Stretch, cursors: Cursors, selection: Selection, *, limit: int) -> LogPage:
    """The selected changes of a stretch, as far as one page goes.

    Where a block ended behind the stretch while it was read, it reaches up to that: the page has left out the pieces
    of the block, and whoever goes on from there would be given the last of them.
    """
    while True:
        page = _read(conn, stretch, cursors, selection, limit)
        if not stretch.has_text or page.position < stretch.end:
            return page
        row = _LAST_ENDED.first(conn, history_id=stretch.history_id, end=stretch.end)
        if row is None or row[0] is None:
            return page
        stretch = replace(stretch, end=row[0])


def _read(conn: Connection, stretch: Stretch, cursors: Cursors, selection: Selection, limit: int) -> LogPage:
    after, end = stretch.after, min(stretch.after + LOG_WINDOW, stretch.end)
    bound = {"history_id": stretch.history_id, **values(selection)}
    rows = _log(shape(selection), selection.wants_runs).all(conn, after=after, end=end, limit=limit, **bound)
    if len(rows) == limit:
        end = rows[-1][0]
    factory = cursors(stretch.context_id)
    entries = _entries(rows, stretch.context_id, factory)
    found = _open(shape(selection)).all(conn, **bound) if stretch.has_text else ()
    growing = {row[1]: to_block(row, stretch.context_id, factory) for row in found}
    if growing:
        pieces = _PIECES.all(conn, history_id=stretch.history_id, after=after, end=end)
        entries += [to_text_entry(n, at, text, growing[i], factory) for n, i, at, text in pieces if i in growing]
        entries.sort(key=lambda entry: entry.sequence)
    return LogPage(entries, end, stretch.end)


_RUN_STATE = Prepared(
    select(runs.c.state)
    .join(histories_table, histories_table.c.id == runs.c.history_id)
    .where(histories_table.c.context_id == bindparam("context_id"), runs.c.id == bindparam("run_id"))
)


def _is_over(conn: Connection, context_id: str, run_id: str) -> bool:
    row = _RUN_STATE.first(conn, context_id=context_id, run_id=run_id)
    return row is not None and row[0] != "running"


@lru_cache(maxsize=512)
def _log(selection: Shape, runs_too: bool) -> Prepared:
    of_block = (blocks.c.history_id == changes.c.history_id) & (blocks.c.index == changes.c.block_index)
    wanted = and_(true(), *conditions(selection))
    if runs_too:
        of_run = (runs.c.history_id == changes.c.history_id) & (runs.c.id == changes.c.text)
        statement = select(changes.c.sequence, changes.c.type, *BLOCK_COLUMNS, *RUN_COLUMNS)
        statement = statement.outerjoin(blocks, of_block).outerjoin(runs, of_run & (changes.c.type >= RUN_STARTED))
        run_wanted = runs.c.id == bindparam("run") if selection.run else runs.c.id.is_not(None)
        wanted = (blocks.c.id.is_not(None) & wanted) | run_wanted
    else:
        statement = select(changes.c.sequence, changes.c.type, *BLOCK_COLUMNS).join(blocks, of_block)
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


def _entries(rows: list[Row], context_id: str, cursors: CursorFactory) -> list[Entry]:
    """Changes of the rows of a page; several about one block share it."""
    seen: dict[int, Block] = {}
    entries = []
    width = len(BLOCK_COLUMNS)
    for sequence, type, *columns in rows:
        if type >= RUN_STARTED:
            entries.append(to_run_entry(type, sequence, to_run(tuple(columns[width:]), context_id), cursors))
            continue
        block = seen.get(columns[1])
        if block is None:
            block = seen[columns[1]] = to_block(tuple(columns[:width]), context_id, cursors)
        entries.append(to_entry(type, sequence, block, cursors))
    return entries


@lru_cache(maxsize=512)
def _open(selection: Shape) -> Prepared:
    return Prepared(
        select(*BLOCK_COLUMNS).where(
            blocks.c.history_id == bindparam("history_id"), not_closed, blocks.c.state == "open", *conditions(selection)
        )
    )


_LAST_ENDED = Prepared(
    select(func.max(changes.c.sequence)).where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence > bindparam("end"),
        changes.c.type == BLOCK_CLOSED,
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


_NEWEST = Prepared(select(func.max(changes.c.id)))
# Grouped by an expression, for the index of the bare column would be walked from one end to the other.
_MOVED = Prepared(
    select(
        func.max(changes.c.id),
        changes.c.history_id,
        histories_table.c.context_id,
        func.min(changes.c.sequence),
        func.max(changes.c.sequence),
        func.min(changes.c.type),
    )
    .join(histories_table, histories_table.c.id == changes.c.history_id)
    .where(changes.c.id > bindparam("position"))
    .group_by(changes.c.history_id + literal_column("0"))
)


def newest(conn: Connection) -> int:
    """The position of the whole store's log."""
    row = _NEWEST.first(conn)
    return int(row[0]) if row is not None and row[0] is not None else 0


def moved(conn: Connection, position: int) -> tuple[list[Stretch], int]:
    """What was written since a position of the store's log, history by history, and its new position."""
    rows = _MOVED.all(conn, position=position)
    stretches = [
        Stretch(history_id, context_id, first - 1, last, least_type == TEXT_APPENDED)
        for _, history_id, context_id, first, last, least_type in rows
    ]
    return stretches, max((row[0] for row in rows), default=position)
