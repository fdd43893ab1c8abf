"""What may still change of a finished block: tags are added, usage is set."""

from __future__ import annotations

import json

from sqlalchemy import bindparam, insert, select, update

from chatstore import checks
from chatstore.limits import DEFAULT, Limits, exceeded
from chatstore.model import Block
from chatstore.operations import histories, proving
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, SIZED_AT
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.schema import BLOCK_UPDATED, HISTORY_TAG, blocks
from chatstore.schema import tags as tags_table

_TAGS_AT, _USAGE_AT, _UPDATED_AT = (BLOCK_COLUMNS.index(blocks.c[name]) for name in ("tags", "usage", "updated_at"))

_UPDATE = Prepared(
    update(blocks)
    .where(blocks.c.history_id == bindparam("history"), blocks.c.index == bindparam("at"))
    .values(tags=bindparam("new_tags"), usage=bindparam("new_usage"), updated_at=bindparam("now"))
)
_TAGGED = Prepared(
    select(tags_table.c.block_index).where(
        tags_table.c.history_id == bindparam("history"),
        tags_table.c.kind == bindparam("tag_kind"),
        tags_table.c.name == bindparam("tag_name"),
        tags_table.c.block_index == bindparam("at"),
    )
)
_ADD_TAGS = Prepared(insert(tags_table))


def tag_block(
    transaction: Transaction, context: ContextRef, block_id: str, added: str, limits: Limits = DEFAULT
) -> Block:
    """Puts tags (as JSON) on a block; a tag of the same kind and name takes the new value."""
    history, row, last = _find(transaction, context, block_id)
    # Before its tags are stored: whoever refuses has to do so before anything is written (see `Transaction`).
    marked = _with(row, _TAGS_AT, _merged(row[_TAGS_AT], added, limits), limits)
    _index_tags(transaction, history, row[1], added)
    return _update(transaction, context, history, marked, last)


def set_usage(
    transaction: Transaction, context: ContextRef, block_id: str, usage: str, limits: Limits = DEFAULT
) -> Block:
    """Sets the usage (as JSON) of a block."""
    history, row, last = _find(transaction, context, block_id)
    return _update(transaction, context, history, _with(row, _USAGE_AT, usage, limits), last)


def tag_context(transaction: Transaction, context: ContextRef, added: str, limits: Limits = DEFAULT) -> None:
    """Puts tags (as JSON) on a history."""
    # Looked at before it is opened: tags that are refused must not leave a new history behind.
    known = transaction.history(context.context_id)
    if known is not None:
        histories.check_sound(known)
    merged = _merged(None if known is None else known.tags, added, limits)
    checks.size([merged], "tags", limits.block_bytes)
    history = transaction.open_history(context)
    history.tags = merged
    _index_tags(transaction, history, HISTORY_TAG, added)
    histories.write(transaction.conn, history)


def _find(transaction: Transaction, context: ContextRef, block_id: str) -> tuple[History, Row, Row]:
    history = transaction.history(context.context_id)
    transaction.flush()
    row, last = proving.block_row(transaction.conn, history, block_id)
    assert history is not None
    return history, row, last


def _merged(stored: str | None, added: str, limits: Limits) -> str:
    tags = {(tag["kind"], tag["name"]): tag for tag in json.loads(stored or "[]")}
    tags |= {(tag["kind"], tag["name"]): tag for tag in json.loads(added)}
    if len(tags) > limits.tags:
        raise exceeded(f"{len(tags):,} tags on one block or history", "tags", limits.tags)
    return checks.json_text(list(tags.values()), "the tags", limits.depth)


def _index_tags(transaction: Transaction, history: History, at: int, added: str) -> None:
    for tag in json.loads(added):
        kind, name = tag["kind"], tag["name"]
        found = _TAGGED.first(transaction.conn, history=history.id, tag_kind=kind, tag_name=name, at=at)
        # By kind and name alone: a tag that only gets another value is in the index already.
        if found is None:
            _ADD_TAGS.many(transaction.conn, [(history.id, kind, name, at)])


def _with(row: Row, at: int, value: str, limits: Limits) -> Row:
    marked = (*row[:at], value, *row[at + 1 :])
    checks.size([marked[place] for place in SIZED_AT], "a block", limits.block_bytes)
    return marked


def _update(transaction: Transaction, context: ContextRef, history: History, row: Row, last: Row) -> Block:
    row = (*row[:_UPDATED_AT], transaction.now, *row[_UPDATED_AT + 1 :])
    _UPDATE.run(
        transaction.conn,
        history=history.id,
        at=row[1],
        new_tags=row[_TAGS_AT],
        new_usage=row[_USAGE_AT],
        now=transaction.now,
    )
    block = transaction.block(row, context.context_id)
    transaction.log(history, BLOCK_UPDATED, row, block, last)
    return block
