"""Reading the log: of one context in pages, and where the whole store has moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy import BigInteger, Connection, and_, bindparam, func, literal_column, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from chatstore.changes import Entry
from chatstore.cursor import CursorFactory, tombstone
from chatstore.kinds import Selection
from chatstore.model import Block
from chatstore.operations import histories, reading
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import (
    BLOCK_COLUMNS,
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


@dataclass(frozen=True, slots=True)
class LogPage:
    """Selected changes with their numbers, and how far the log was read for them."""

    entries: list[Entry]
    position: int
    head: int
    is_over: bool = False


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
    reading.check_kept(after, history.first, cursors(context_id))
    page = _page(conn, history, context_id, cursors, selection, after=after, limit=limit)
    while page.position == history.head and (ended := _last_ended(conn, history)):
        # A block ended behind the page while that was read. The page has left out its pieces, and whoever goes on
        # from there would be given the last of them: so the page goes on to the end of the block.
        history.head = ended
        page = _page(conn, history, context_id, cursors, selection, after=after, limit=limit)
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
    end = min(after + LOG_WINDOW, history.head)
    bound = {"history_id": history.id, **values(selection)}
    rows = _log(shape(selection), selection.wants_runs).all(conn, after=after, end=end, limit=limit, **bound)
    if len(rows) == limit:
        end = rows[-1][0]
    factory = cursors(context_id)
    entries = _entries(rows, context_id, factory)
    growing = {row[1]: to_block(row, context_id, factory) for row in _open(shape(selection)).all(conn, **bound)}
    if growing:
        pieces = _PIECES.all(conn, history_id=history.id, after=after, end=end)
        entries += [to_text_entry(n, at, text, growing[i], factory) for n, i, at, text in pieces if i in growing]
        entries.sort(key=lambda entry: entry.sequence)
    return LogPage(entries, end, history.head)


def news(conn: Connection, context_id: str, cursors: Cursors, *, after: int, limit: int) -> LogPage:
    """All that was written behind `after`, in one statement; the head alone where that is as much as `limit`, or where
    retention has removed some of it."""
    rows = _NEWS.all(conn, context_id=context_id, tombstone=tombstone(context_id), after=after, limit=limit)
    if len(rows) == limit or (rows and rows[0][-1] > after):
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
    of_block = (blocks.c.history_id == changes.c.history_id) & (blocks.c.index == changes.c.block_index)
    wanted = and_(true(), *conditions(selection))
    if runs_too:
        of_run = (runs.c.history_id == changes.c.history_id) & (runs.c.id == changes.c.text)
        statement = select(*_OWN, *BLOCK_COLUMNS, *RUN_COLUMNS)
        statement = statement.outerjoin(blocks, of_block).outerjoin(runs, of_run & (changes.c.type >= RUN_STARTED))
        run_wanted = runs.c.id == bindparam("run") if selection.run else runs.c.id.is_not(None)
        wanted = (blocks.c.id.is_not(None) & wanted) | run_wanted
    else:
        statement = select(*_OWN, *BLOCK_COLUMNS).join(blocks, of_block)
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


_named = histories_table.c.context_id.in_([bindparam("context_id"), bindparam("tombstone")])
_of_history = select(histories_table.c.id).where(_named)
_NEWS = Prepared(
    select(*_OWN, *BLOCK_COLUMNS, *RUN_COLUMNS, select(histories_table.c.first).where(_named).scalar_subquery())
    .select_from(changes)
    .outerjoin(blocks, (blocks.c.history_id == changes.c.history_id) & (blocks.c.index == changes.c.block_index))
    .outerjoin(
        runs,
        (runs.c.history_id == changes.c.history_id) & (runs.c.id == changes.c.text) & (changes.c.type >= RUN_STARTED),
    )
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


def _last_ended(conn: Connection, history: History) -> int | None:
    row = _LAST_ENDED.first(conn, history_id=history.id, head=history.head)
    return None if row is None else row[0]


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
        changes.c.sequence > bindparam("head"),
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


class horizon(FunctionElement[int]):
    """The place in the store's log from which on entries may still be committed before others that are there already.
    There is none such where one writer commits at a time; a database where it is otherwise says it itself."""

    inherit_cache = True
    type = BigInteger()


@compiles(horizon)
def _no_horizon(element: horizon, compiler: SQLCompiler, **options: object) -> str:
    return str(2**63 - 1)


_NEWEST = Prepared(select(func.max(changes.c.id)).where(changes.c.id < horizon()))
# Grouped by an expression, for the index of the bare column would be walked from one end to the other.
_MOVED = Prepared(
    select(func.max(changes.c.id), histories_table.c.context_id, func.max(changes.c.sequence))
    .join(histories_table, histories_table.c.id == changes.c.history_id)
    .where(changes.c.id > bindparam("position"))
    .group_by(changes.c.history_id + literal_column("0"))
)


_END = Prepared(
    select(
        select(func.max(changes.c.id)).where(changes.c.id < horizon()).scalar_subquery(),
        select(func.max(changes.c.id)).scalar_subquery(),
    )
)


def end(conn: Connection) -> tuple[int, bool]:
    """The same, and whether there are entries behind it already that have to wait for others."""
    [(settled, last)] = _END.all(conn)
    return settled or 0, (last or 0) > (settled or 0)


def newest(conn: Connection) -> int:
    """The place behind which the whole store's log goes on."""
    row = _NEWEST.first(conn)
    return int(row[0]) if row is not None and row[0] is not None else 0


def moved(conn: Connection, position: int) -> tuple[dict[str, int], int]:
    """The heads of the contexts written to since a position of the store's log, and its new position."""
    rows = _MOVED.all(conn, position=position)
    return {row[1]: row[2] for row in rows}, max((row[0] for row in rows), default=position)
