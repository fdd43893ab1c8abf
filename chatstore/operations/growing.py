"""Open blocks: their text goes into the log as it grows, and into their row once, when they end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, select, update

from chatstore import checks
from chatstore.errors import BlockEnded, BlockNotFound, ChatStoreError, RunOver
from chatstore.limits import DEFAULT, Limits
from chatstore.model import Block, State
from chatstore.operations import over, proving
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, SIZED_AT, STATE_AT, TEXT_AT
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.schema import BLOCK_CLOSED, blocks

_TYPE_AT, _RUN_AT, _DATA_AT, _USAGE_AT, _UPDATED_AT, _LEASE_AT = (
    BLOCK_COLUMNS.index(blocks.c[name]) for name in ("type", "run_id", "data", "usage", "updated_at", "lease_id")
)

_PLACE = (blocks.c.history_id == bindparam("history_id"), blocks.c.index == bindparam("block_index"))
_AT = Prepared(select(*BLOCK_COLUMNS).where(*_PLACE))
_LAST_AT = Prepared(proving.blocks_where(*_PLACE))
_END = Prepared(
    update(blocks)
    .where(blocks.c.history_id == bindparam("history"), blocks.c.index == bindparam("at"))
    .values(
        text=bindparam("whole"),
        state=bindparam("new_state"),
        data=bindparam("new_data"),
        usage=bindparam("new_usage"),
        updated_at=bindparam("now"),
        lease_id=None,
        pieces_until=bindparam("until"),
    )
)


@dataclass(frozen=True, slots=True)
class Grown:
    """An open block as it is proved to be: its row, its last entry in the log, and its text so far."""

    row: Row
    last: Row
    text: str


class Rest(NamedTuple):
    """Text that an open block ends with, and at which of its characters it stands: of some of it nobody may know
    whether it is stored."""

    offset: int
    text: str

    def behind(self, stored: str) -> str:
        """What of it is not in the text that is stored."""
        return self.text[max(0, len(stored) - self.offset) :]


NOTHING = Rest(0, "")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a block ends: its state, and what is set with it (as JSON) where it is not None.

    `refuse`: a block that is larger than the limits is refused. Otherwise it ends in any case.
    """

    state: State
    data: str | None = None
    usage: str | None = None
    error: str | None = None
    limits: Limits = DEFAULT
    refuse: bool = False


def write_text(
    transaction: Transaction, context: ContextRef, index: int, offset: int, text: str, doubtful: bool = False
) -> None:
    """Logs a piece of text of an open block. Raises BlockEnded or RunOver once it has ended.

    `doubtful`: its beginning was sent before, and may be stored; what is, is not logged again.
    """
    transaction.flush_blocks()
    # Not proved: a piece has a checksum of its own and seals nothing of the row, which is read for every token.
    history, row = _open_row(transaction, context, index, _AT)
    if doubtful:
        stored = proving.text_of(transaction.conn, row)
        offset, text = max(offset, len(stored)), Rest(offset, text).behind(stored)
    if text:
        transaction.log_text(history, transaction.block(row, context.context_id), offset, text)


def end_block(
    transaction: Transaction, context: ContextRef, index: int, rest: Rest, ending: Ending, made: Block | None = None
) -> Block:
    """Ends an open block, with the `rest` of its text. Raises BlockEnded or RunOver if it has ended already, unless as
    `made`: the block as an earlier try ended it, of which nobody may know whether it was committed."""
    transaction.flush()
    try:
        history, found = _open_row(transaction, context, index, _LAST_AT)
    except (BlockEnded, RunOver):
        stored = None if made is None else _block(transaction, context, index)
        if made is None or stored is None or _end_of(stored) != _end_of(made):
            raise
        return stored
    return end_grown(transaction, history, context.context_id, grown(transaction, found), ending, rest)


def grown(transaction: Transaction, found: Row) -> Grown:
    """An open block, of a row that was read with its last entry. Raises StoreDamaged."""
    row, last = proving.proved(found)
    return Grown(row, last, proving.text_of(transaction.conn, row))


def end_grown(
    transaction: Transaction, history: History, context_id: str, block: Grown, ending: Ending, rest: Rest = NOTHING
) -> Block:
    """Ends an open block."""
    row, text = block.row, block.text + rest.behind(block.text)
    ended = list(row)
    ended[TEXT_AT], ended[STATE_AT], ended[_UPDATED_AT], ended[_LEASE_AT] = text, ending.state, transaction.now, None
    ended[_DATA_AT] = _data(row, text, ending)
    ended[_USAGE_AT] = row[_USAGE_AT] if ending.usage is None else ending.usage
    if ending.refuse:
        checks.size([ended[place] for place in SIZED_AT], "a block", ending.limits.block_bytes)
    _END.run(
        transaction.conn,
        history=history.id,
        at=row[1],
        whole=text,
        new_state=ending.state,
        new_data=ended[_DATA_AT],
        new_usage=ended[_USAGE_AT],
        now=transaction.now,
        # What has never grown has no pieces that compaction would have to look for; they end before the entry that is
        # logged below.
        until=history.head if block.text else None,
    )
    model = transaction.block(tuple(ended), context_id)
    transaction.log(history, BLOCK_CLOSED, tuple(ended), model, block.last)
    return model


def _block(transaction: Transaction, context: ContextRef, index: int) -> Block | None:
    history = transaction.history(context.context_id)
    row = None if history is None else _AT.first(transaction.conn, history_id=history.id, block_index=index)
    return None if row is None else transaction.block(row, context.context_id)


def _end_of(block: Block) -> tuple[object, ...]:
    """What an end sets, and nobody changes afterwards."""
    return block.id, block.state, block.text, block.data


def _open_row(transaction: Transaction, context: ContextRef, index: int, at: Prepared) -> tuple[History, Row]:
    history = transaction.history(context.context_id)
    row = None if history is None else at.first(transaction.conn, history_id=history.id, block_index=index)
    if history is None or row is None:
        raise BlockNotFound(f"no block with index {index} in this history")
    if row[STATE_AT] != "open":
        raise _ended(transaction, history, row)
    return history, row


def _ended(transaction: Transaction, history: History, row: Row) -> ChatStoreError:
    state, run_id = row[STATE_AT], row[_RUN_AT]
    # The run first: its writer has to hear that it was cancelled and should stop, not that one block was ended.
    if run_id is not None:
        try:
            over.check_running(transaction, history, run_id)
        except ChatStoreError as error:
            return error
    if state == "interrupted":
        return over.error("interrupted", run_id)
    return BlockEnded(f"the block is {state}; text is appended to open blocks only")


def _data(row: Row, text: str, ending: Ending) -> str | None:
    """The block's data as it ends: parsed arguments of a call, what the caller sets, and the error."""
    data = json.loads(ending.data or row[_DATA_AT] or "null")
    if not isinstance(data, (dict, type(None))):
        return ending.data or row[_DATA_AT]
    found = data or {}
    if row[_TYPE_AT] == "function_call":
        # Parsed only now, for they came in pieces; what does not parse is null, beside the text as the model wrote it.
        known = json.loads(row[_DATA_AT] or "{}")
        found = {**known, **found, "arguments": checks.parsed_json(text, ending.limits.depth)}
    if ending.error is not None:
        found = {**found, "error": json.loads(ending.error)}
    return checks.joined_json(found) if found else None
