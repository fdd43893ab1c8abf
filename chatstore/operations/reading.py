"""Reading blocks, their bytes, and the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from chatstore.changes import Entry
from chatstore.cursor import Cursor, CursorFactory
from chatstore.errors import BlobNotFound, BlockNotFound, InvalidCursor
from chatstore.ids import id_bytes
from chatstore.kinds import PROMPT, Selection
from chatstore.model import Block
from chatstore.operations import histories
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import (
    BLOCK_COLUMNS,
    ID_AT,
    RUN_COLUMNS,
    SEQUENCE_AT,
    STATE_AT,
    TEXT_AT,
    Cursors,
    to_block,
    to_entry,
    to_run,
    to_run_entry,
    to_text_entry,
)
from chatstore.operations.selecting import Shape, branches, conditions, shape, values
from chatstore.prompts import close_calls
from chatstore.schema import BLOCK_ADDED, RUN_STARTED, TEXT_APPENDED, blobs, blocks, changes, not_closed, runs
from chatstore.schema import histories as histories_table

_PROMPT = Selection(views=PROMPT)
LOG_WINDOW = 16384
"""Entries of the log that one page looks through at most, so that every read is short."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which of the selected blocks: behind `after` and before `before` (numbers of changes), the first `limit` of
    them or the last `last`."""

    after: int | None = None
    before: int | None = None
    last: int | None = None
    limit: int | None = None
    since_last_user_message: bool = False


@dataclass(frozen=True, slots=True)
class LogPage:
    """Selected changes with their numbers, and how far the log was read for them."""

    entries: list[Entry]
    position: int
    head: int
    run_is_over: bool = False


def messages(conn: Connection, context_id: str, cursors: Cursors, selection: Selection, wanted: Range) -> list[Block]:
    """The selected blocks of a range, in order."""
    history = histories.find(conn, context_id)
    for sequence in (wanted.after, wanted.before):
        check_within(sequence, 0 if history is None else history.head)
    if history is None:
        return []
    bounds: dict[str, object] = {}
    if wanted.since_last_user_message and history.last_user is not None:
        bounds["first"] = history.last_user + 1
    if wanted.after is not None:
        bounds["first"] = first_index_from(conn, history, wanted.after + 1)
    if wanted.before is not None:
        bounds["end"] = first_index_from(conn, history, wanted.before)
    if wanted.last is not None or wanted.limit is not None:
        bounds["limit"] = wanted.limit if wanted.last is None else wanted.last
    statement = _messages(shape(selection), frozenset(bounds), wanted.last is not None)
    rows = statement.all(conn, history_id=history.id, **bounds, **values(selection))
    if wanted.last is not None:
        rows.reverse()
    factory = cursors(context_id)
    found = [to_block(with_text(conn, row), context_id, factory) for row in rows]
    return close_calls(found) if selection == _PROMPT else found


@lru_cache(maxsize=512)
def _messages(selection: Shape, bounds: frozenset[str], backwards: bool) -> Prepared:
    found = branches(selection)
    if len(found) == 1:
        return Prepared(_ranged(BLOCK_COLUMNS, found[0], bounds, backwards))
    picked = union_all(
        *(select(_ranged([blocks.c.index], one, bounds, backwards).correlate(None).subquery()) for one in found)
    )
    return Prepared(_ranged(BLOCK_COLUMNS, [blocks.c.index.in_(picked)], bounds & {"limit"}, backwards))


def _ranged(
    columns: Sequence[Column[Any]], conditions: list[ColumnElement[bool]], bounds: frozenset[str], backwards: bool
) -> Select[Any]:
    statement = select(*columns).where(blocks.c.history_id == bindparam("history_id"), *conditions)
    if "first" in bounds:
        statement = statement.where(blocks.c.index >= bindparam("first"))
    if "end" in bounds:
        statement = statement.where(blocks.c.index < bindparam("end"))
    statement = statement.order_by(blocks.c.index.desc() if backwards else blocks.c.index)
    return statement.limit(bindparam("limit")) if "limit" in bounds else statement


_FIRST_INDEX = Prepared(
    select(changes.c.block_index)
    .where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence >= bindparam("sequence"),
        changes.c.type == BLOCK_ADDED,
    )
    .order_by(changes.c.sequence)
    .limit(1)
)


def first_index_from(conn: Connection, history: histories.History, sequence: int) -> int:
    """The index of the first block added at this change or later: where a cursor stands among the blocks."""
    row = _FIRST_INDEX.first(conn, history_id=history.id, sequence=sequence)
    return history.count if row is None else int(row[0])


def check_within(sequence: int | None, head: int) -> None:
    """Refuses a cursor beyond the head."""
    if sequence is not None and sequence > head:
        raise InvalidCursor(
            "the cursor lies beyond the end of the history, as when the store was restored from an older copy;"
            " read the history again from the beginning"
        )


@lru_cache(maxsize=512)
def _count(selection: Shape) -> Prepared:
    return Prepared(
        select(func.count())
        .select_from(blocks)
        .where(blocks.c.history_id == bindparam("history_id"), *conditions(selection))
    )


def count(conn: Connection, context_id: str, cursors: Cursors, selection: Selection) -> int:
    """How many blocks are selected."""
    history = histories.find(conn, context_id)
    if history is None or selection == Selection():
        return 0 if history is None else history.count
    row = _count(shape(selection)).first(conn, history_id=history.id, **values(selection))
    assert row is not None
    return int(row[0])


def head(conn: Connection, context_id: str) -> int:
    """The number of the last change; 0 before the first."""
    history = histories.find(conn, context_id)
    return 0 if history is None else history.head


def head_cursor(conn: Connection, context_id: str, cursors: Cursors) -> Cursor:
    """The cursor of the last change."""
    return cursors(context_id).at(head(conn, context_id))


_BLOCK = Prepared(
    select(*BLOCK_COLUMNS).where(blocks.c.history_id == bindparam("history_id"), blocks.c.id == bindparam("block_id"))
)


def block_row(conn: Connection, history: histories.History | None, block_id: str) -> Row:
    """The row of one block. Raises BlockNotFound."""
    raw = id_bytes(block_id)
    row = None if history is None else _BLOCK.first(conn, history_id=history.id, block_id=raw)
    if row is None:
        raise BlockNotFound(f"no block {block_id} in this history; blocks are looked up in their own context")
    return row


def block(conn: Connection, context_id: str, cursors: Cursors, block_id: str) -> Block:
    """One block by its id. Raises BlockNotFound."""
    row = block_row(conn, histories.find(conn, context_id), block_id)
    return to_block(with_text(conn, row), context_id, cursors(context_id))


def header(conn: Connection, context_id: str, cursors: Cursors, block_id: str) -> tuple[Block, Cursor]:
    """One block without its text, and the cursor before it was added. Raises BlockNotFound."""
    row = block_row(conn, histories.find(conn, context_id), block_id)
    block = to_block(row, context_id, cursors(context_id))
    return block.model_copy(update={"text": "", "state": "open"}), cursors(context_id).at(row[SEQUENCE_AT] - 1)


_BLOB = Prepared(select(blobs.c.content).where(blobs.c.digest == bindparam("digest")))


def blob(conn: Connection, digest: bytes) -> bytes:
    """The bytes of a part by their digest. Raises BlobNotFound."""
    row = _BLOB.first(conn, digest=digest)
    if row is None:
        raise BlobNotFound(f"no bytes with the digest {digest.hex()} in this store")
    return bytes(row[0])


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
    return LogPage(entries, end, history.head, over)


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
_TEXT = Prepared(
    select(changes.c.text)
    .where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence > bindparam("after"),
        changes.c.type == TEXT_APPENDED,
        changes.c.block_index == bindparam("block_index"),
    )
    .order_by(changes.c.sequence)
)


def text_so_far(conn: Connection, history_id: int, index: int, added: int) -> str:
    """The text of an open block, joined from the log; `added` is the number of the change that opened it."""
    rows = _TEXT.all(conn, history_id=history_id, after=added, block_index=index)
    return "".join(row[0] for row in rows)


def with_text(conn: Connection, row: Row) -> Row:
    """A block's row with its text, which lies in the log while the block is open."""
    if row[STATE_AT] != "open":
        return row
    text = text_so_far(conn, row[0], row[1], row[SEQUENCE_AT])
    # If it ended meanwhile, the pieces may have been removed as they were read; then the row has the text.
    now = _BLOCK.first(conn, history_id=row[0], block_id=row[ID_AT])
    return (*row[:TEXT_AT], text, *row[TEXT_AT + 1 :]) if now is None or now[STATE_AT] == "open" else now


_NEWEST = Prepared(select(func.max(changes.c.id)))
# Grouped by an expression, for the index of the bare column would be walked from one end to the other.
_MOVED = Prepared(
    select(changes.c.history_id, func.max(changes.c.id))
    .where(changes.c.id > bindparam("position"))
    .group_by(changes.c.history_id + literal_column("0"))
)


def newest(conn: Connection) -> int:
    """The position of the whole store's log."""
    row = _NEWEST.first(conn)
    return int(row[0]) if row is not None and row[0] is not None else 0


def moved(conn: Connection, position: int) -> tuple[set[int], int]:
    """The histories written to since a position of the store's log, and its new position."""
    rows = _MOVED.all(conn, position=position)
    return {row[0] for row in rows}, max((row[1] for row in rows), default=position)
