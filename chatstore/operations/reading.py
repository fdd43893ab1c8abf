"""Reading blocks, and the bytes of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    select,
    union_all,
)

from chatstore.cursor import Cursor, CursorFactory
from chatstore.errors import BlobNotFound, BlockNotFound, CursorExpired, InvalidCursor
from chatstore.ids import id_bytes, index_of
from chatstore.kinds import PROMPT, Selection
from chatstore.model import Block
from chatstore.operations import histories
from chatstore.operations.prepared import Prepared, Row, among
from chatstore.operations.rows import (
    BLOCK_COLUMNS,
    ID_AT,
    SEQUENCE_AT,
    STATE_AT,
    TEXT_AT,
    Cursors,
    to_block,
)
from chatstore.operations.selecting import Shape, branches, shape, values
from chatstore.prompts import close_calls
from chatstore.schema import BLOCK_ADDED, TEXT_APPENDED, blobs, blocks, changes

_PROMPT = Selection(views=PROMPT)


@dataclass(frozen=True, slots=True)
class Range:
    """Which of the selected blocks: behind `after` and before `before` (numbers of changes), the first `limit` of
    them or the last `last`."""

    after: int | None = None
    before: int | None = None
    last: int | None = None
    limit: int | None = None
    since_last_user_message: bool = False


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
    if wanted.after is not None and (now := histories.find(conn, context_id)) is not None:
        # Asked last: each statement sees a state of its own, and what retention removed between them is missing.
        check_kept(wanted.after, now.first, cursors(context_id))
    if wanted.last is not None:
        rows.reverse()
    factory = cursors(context_id)
    found = [to_block(with_text(conn, row), context_id, factory) for row in rows]
    # Where it is narrowed further, a call may lack its result only because the filter left that out.
    return close_calls(found) if selection == _PROMPT else found


@lru_cache(maxsize=512)
def _messages(selection: Shape, bounds: frozenset[str], backwards: bool) -> Prepared:
    found = branches(selection)
    if len(found) == 1:
        return Prepared(_ranged(BLOCK_COLUMNS, found[0], bounds, backwards))
    picked = union_all(
        # Branches give indexes alone, each in order and no more than are wanted; the rows, with their texts, are read
        # for those that are left of them.
        *(select(_ranged([blocks.c.index], one, bounds, backwards).correlate(None).subquery()) for one in found)
    )
    return Prepared(_ranged(BLOCK_COLUMNS, [among(blocks.c.index, picked)], bounds & {"limit"}, backwards))


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


def check_kept(sequence: int | None, first: int, cursors: CursorFactory) -> None:
    """Refuses a cursor whose changes were removed by retention. Raises CursorExpired, with where to go on."""
    if sequence is not None and sequence < first:
        raise CursorExpired(
            f"{first - sequence} changes behind the cursor were removed, as the store retains no more;"
            " go on from the error's `start`, or read the history again",
            start=cursors.at(first),
        )


@lru_cache(maxsize=512)
def _count(selection: Shape) -> Prepared:
    counts = (
        select(func.count()).select_from(blocks).where(blocks.c.history_id == bindparam("history_id"), *one)
        for one in branches(selection)
    )
    return Prepared(select(reduce(add, (count.correlate(None).scalar_subquery() for count in counts))))


def count(conn: Connection, context_id: str, cursors: Cursors, selection: Selection) -> int:
    """How many blocks are selected."""
    history = histories.find(conn, context_id)
    # All blocks are counted already, in the row of the history.
    if history is None or selection == Selection():
        return 0 if history is None else history.count - history.first_index
    row = _count(shape(selection)).first(conn, history_id=history.id, **values(selection))
    assert row is not None
    return int(row[0])


def bounds(conn: Connection, context_id: str) -> tuple[int, int]:
    """The numbers of the last change that is not there any more, and of the last; 0 before the first."""
    history = histories.find_or_tombstone(conn, context_id)
    return (0, 0) if history is None else (history.first, history.head)


def head_cursor(conn: Connection, context_id: str, cursors: Cursors) -> Cursor:
    """The cursor of the last change."""
    history = histories.find(conn, context_id)
    return cursors(context_id).at(0 if history is None else history.head)


_BLOCK = Prepared(
    select(*BLOCK_COLUMNS).where(
        blocks.c.history_id == bindparam("history_id"),
        blocks.c.index == bindparam("place"),
        blocks.c.id == bindparam("block_id"),
    )
)


def row_of(conn: Connection, history_id: int, id: bytes) -> Row | None:
    """The row of a block by its id, which says its place."""
    return _BLOCK.first(conn, history_id=history_id, place=index_of(id), block_id=id)


def block_row(conn: Connection, history: histories.History | None, block_id: str) -> Row:
    """The row of one block. Raises BlockNotFound."""
    raw = id_bytes(block_id)
    row = None if history is None else row_of(conn, history.id, raw)
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
    now = row_of(conn, row[0], row[ID_AT])
    return (*row[:TEXT_AT], text, *row[TEXT_AT + 1 :]) if now is None or now[STATE_AT] == "open" else now
