"""Between rows and models."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from chatstore.changes import (
    BlockAdded,
    BlockClosed,
    BlockUpdated,
    Entry,
    HistoryErased,
    RunEnded,
    RunStarted,
    TextAppended,
)
from chatstore.cursor import CursorFactory
from chatstore.ids import id_text, to_datetime
from chatstore.model import Block, Context, Part, Run, RunError, Tag
from chatstore.operations.prepared import Row, of_row
from chatstore.schema import BLOCK_ADDED, BLOCK_CLOSED, BLOCK_UPDATED, RUN_STARTED, blocks, changes, runs

BLOCK_COLUMNS = tuple(blocks.c)
"""What `to_block` takes, in this order."""
ID_AT, TEXT_AT, STATE_AT, SEQUENCE_AT = (
    BLOCK_COLUMNS.index(blocks.c[name]) for name in ("id", "text", "state", "sequence")
)
SIZED_AT = [BLOCK_COLUMNS.index(blocks.c[name]) for name in ("text", "data", "parts", "tags", "usage")]
"""What counts to the size of a block."""
RUN_COLUMNS = tuple(runs.c)
"""What `to_run` takes, in this order."""

OF_BLOCK = (blocks.c.history_id == of_row(changes.c.history_id)) & (blocks.c.index == changes.c.block_index)
"""The block that an entry of the log is about."""
OF_RUN = (
    (runs.c.history_id == of_row(changes.c.history_id))
    & (runs.c.id == changes.c.text)
    # For the `text` of a piece is what a model said, and that may be the id of a run.
    & (changes.c.type >= RUN_STARTED)
)
"""The run that an entry is about."""

Cursors: TypeAlias = Callable[[str], CursorFactory]
"""Gives the cursors of a context by its id."""

_CHANGES: dict[int, type[BlockAdded] | type[BlockUpdated] | type[BlockClosed]] = {
    BLOCK_ADDED: BlockAdded,
    BLOCK_UPDATED: BlockUpdated,
    BLOCK_CLOSED: BlockClosed,
}


def to_block(row: Row, context_id: str, cursors: CursorFactory) -> Block:
    """A block from its row. What is in the row was checked when it was written, so the model is not validated again."""
    _, index, id, type, role, author, run_id, parent_id, text, data, parts, tags, internal = row[:13]
    state, usage, sequence, created_at, updated_at = row[15:20]
    created = to_datetime(created_at)
    return Block.made(
        id=id_text(id),
        context_id=context_id,
        index=index,
        type=type,
        role=role,
        author=author,
        run_id=run_id,
        parent_id=None if parent_id is None else id_text(parent_id),
        text=text,
        data=None if data is None else json.loads(data),
        parts=() if parts is None else tuple(Part(**part) for part in json.loads(parts)),
        tags=to_tags(tags),
        internal=bool(internal),
        state=state,
        usage=None if usage is None else json.loads(usage),
        created_at=created,
        updated_at=created if updated_at == created_at else to_datetime(updated_at),
        cursor=cursors.at(sequence),
    )


def to_tags(text: str | None) -> tuple[Tag, ...]:
    """Tags from their JSON."""
    return () if text is None else tuple(Tag(**tag) for tag in json.loads(text))


def to_entry(type: int, sequence: int, block: Block, cursors: CursorFactory) -> Entry:
    """A change of a block."""
    cursor = cursors.at(sequence)
    change = _CHANGES[type].made(context_id=block.context_id, cursor=cursor, block=block)
    return Entry(sequence, change, block)


def to_text_entry(sequence: int, offset: int, text: str, block: Block, cursors: CursorFactory) -> Entry:
    """A piece of an open block."""
    change = TextAppended.made(
        context_id=block.context_id,
        cursor=cursors.at(sequence),
        block_id=block.id,
        index=block.index,
        type=block.type,
        role=block.role,
        author=block.author,
        run_id=block.run_id,
        offset=offset,
        text=text,
    )
    return Entry(sequence, change, block)


def to_run_entry(type: int, sequence: int, run: Run, cursors: CursorFactory) -> Entry:
    """The start or the end of a run."""
    kind = RunStarted if type == RUN_STARTED else RunEnded
    change = kind.made(context_id=run.context_id, cursor=cursors.at(sequence), run=run)
    return Entry(sequence, change, None)


def to_erased_entry(sequence: int, context_id: str, cursors: CursorFactory) -> Entry:
    """The end of a history that was erased."""
    return Entry(sequence, HistoryErased.made(context_id=context_id, cursor=cursors.at(sequence)), None)


def to_run(row: Row, context_id: str) -> Run:
    """A run from its row."""
    _, id, parent_run_id, state, error, _, usage, started_at, ended_at = row[:9]
    return Run.made(
        id=id,
        context_id=context_id,
        parent_run_id=parent_run_id,
        state=state,
        error=None if error is None else RunError(**json.loads(error)),
        usage=None if usage is None else json.loads(usage),
        started_at=to_datetime(started_at),
        ended_at=None if ended_at is None else to_datetime(ended_at),
    )


def to_context(row: Row, cursors: CursorFactory) -> Context:
    """A context from id, keys, tags, count, head and times."""
    context_id, keys, tags, count, head, created_at, updated_at = row
    return Context.made(
        context_id=context_id,
        keys=None if keys is None else json.loads(keys),
        tags=to_tags(tags),
        count=count,
        head=cursors.at(head),
        created_at=to_datetime(created_at),
        updated_at=to_datetime(updated_at),
    )
