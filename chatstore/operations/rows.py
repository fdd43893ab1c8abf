"""Between rows and models."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from chatstore.changes import BlockAdded, BlockUpdated, Change
from chatstore.cursor import CursorFactory
from chatstore.ids import id_text, to_datetime
from chatstore.model import Block, Context, Part, Tag
from chatstore.operations.prepared import Row
from chatstore.schema import BLOCK_ADDED, BLOCK_UPDATED, blocks

BLOCK_COLUMNS = tuple(blocks.c)
"""What `to_block` takes, in this order."""

Cursors: TypeAlias = Callable[[str], CursorFactory]
"""Gives the cursors of a context by its id."""

_CHANGES: dict[int, type[BlockAdded] | type[BlockUpdated]] = {BLOCK_ADDED: BlockAdded, BLOCK_UPDATED: BlockUpdated}


def to_block(row: Row, context_id: str, cursors: CursorFactory) -> Block:
    """A block from its row. What is in the row was checked when it was written, so the model is not validated again."""
    (_, index, id, type, role, author, run_id, parent_id, text, data, parts, tags, internal, _, state, usage) = row[:16]
    sequence, created_at, updated_at = row[16:]
    created = to_datetime(created_at)
    return Block.model_construct(
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


def to_change(type: int, sequence: int, block: Block, cursors: CursorFactory) -> Change:
    """A change of the log, with the block it is about."""
    return _CHANGES[type].model_construct(context_id=block.context_id, cursor=cursors.at(sequence), block=block)


def to_context(row: Row, cursors: CursorFactory) -> Context:
    """A context from id, keys, tags, count, head and times."""
    context_id, keys, tags, count, head, created_at, updated_at = row
    return Context.model_construct(
        context_id=context_id,
        keys=None if keys is None else json.loads(keys),
        tags=to_tags(tags),
        count=count,
        head=cursors.at(head),
        created_at=to_datetime(created_at),
        updated_at=to_datetime(updated_at),
    )
