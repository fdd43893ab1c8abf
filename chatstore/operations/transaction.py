"""One write transaction: the histories it touches, the rows it gathers, the changes it will announce."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from sqlalchemy import Connection, bindparam, insert, select, update

from chatstore import ids
from chatstore.changes import Entry
from chatstore.cursor import CursorFactory
from chatstore.model import Block, Run
from chatstore.operations import checksums, histories
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import (
    Cursors,
    to_block,
    to_entry,
    to_erased_entry,
    to_run_entry,
    to_text_entry,
)
from chatstore.schema import HISTORY_ERASED, TEXT_APPENDED, blocks, changes, context_keys
from chatstore.schema import histories as histories_table


@dataclass(frozen=True, slots=True)
class ContextRef:
    """A context as a caller named it: its id, and its keys as JSON when it was named by them."""

    context_id: str
    keys: Mapping[str, str] | None = None
    keys_json: str | None = None


_ADD_KEYS = Prepared(insert(context_keys))
_COUNT = Prepared(
    update(histories_table)
    # In the order in which `finish` gives them, for rows are bound by position: `values` has the order of the table.
    .ordered_values(
        (histories_table.c.head, bindparam("new_head")),
        (histories_table.c.count, bindparam("new_count")),
        (histories_table.c.last_user, bindparam("new_last_user")),
        (histories_table.c.updated_at, bindparam("new_updated_at")),
    )
    .where(histories_table.c.id == bindparam("history_id"))
)
_ADD_BLOCKS = Prepared(insert(blocks))
_ADD_CHANGES = Prepared(
    # Without the id, which the database gives: SQLite the next row id, a server one from its transaction's number.
    insert(changes).values({column.name: bindparam(column.name) for column in changes.c if column.name != "id"})
)


Announcement: TypeAlias = dict[str, list[Callable[[], Entry]]]
"""What a commit changed, by context, in order; each is made only where somebody follows that context."""


class Unheld(Exception):
    """The transaction is to be made again, with more contexts held from its beginning: what is held in one order by
    all processes never makes them wait for each other in a circle."""

    def __init__(self, *context_ids: str) -> None:
        super().__init__(*context_ids)
        self.context_ids = context_ids


class Proof(NamedTuple):
    """The last entry that a transaction added to the log: where it is there, the transaction was committed."""

    history_id: int
    sequence: int
    checksum: int


_CHECKSUM = Prepared(
    select(changes.c.checksum).where(
        changes.c.history_id == bindparam("history_id"), changes.c.sequence == bindparam("sequence")
    )
)


def is_stored(conn: Connection, proof: Proof) -> bool:
    """Whether the transaction of this proof was committed."""
    row = _CHECKSUM.first(conn, history_id=proof.history_id, sequence=proof.sequence)
    return row is not None and row[0] == proof.checksum


class Transaction:
    """Gathers what the writes of one commit do, so that rows go in together and each counter is set once.

    A write that refuses (raises an error of ours) must do so before it changes anything: its neighbours in the
    same commit go on. `known` are histories as they are now; those that are looked up are added, or, if the
    transaction has `held` all that it may touch, Unheld is raised.
    """

    def __init__(
        self, conn: Connection, cursors: Cursors, known: dict[str, History | None], *, held: bool = False
    ) -> None:
        self.conn = conn
        self.cursors = cursors
        self.now: int = ids.now()
        self.announced: Announcement = {}
        self.after_commit: list[Callable[[], None]] = []
        self._histories = known
        self._held = held
        self._written: set[str] = set()
        self._blocks: list[Row] = []
        self._changes: list[Row] = []
        self.proof: Proof | None = None

    def hold(self, context_ids: Iterable[str]) -> None:
        """Says at once which histories will be looked up, so that the transaction is made again once for them all."""
        if self._held and (missing := [one for one in context_ids if one not in self._histories]):
            raise Unheld(*missing)

    def history(self, context_id: str) -> History | None:
        """The history of a context, held for this transaction, as the writes so far left it. Raises ContextErased."""
        history = self.history_or_tombstone(context_id)
        return None if history is None else histories.not_erased(history)

    def history_or_tombstone(self, context_id: str) -> History | None:
        """The same, or what is left of it if it was erased."""
        # Locked by the first look, also for a write that may yet be refused: whoever decides by its counters has to be
        # the only one who changes them.
        if context_id not in self._histories:
            if self._held:
                raise Unheld(context_id)
            self._histories[context_id] = histories.lock(self.conn, context_id)
        return self._histories[context_id]

    def open_history(self, context: ContextRef) -> History:
        """The history of a context, as `history` gives it, or a new one. Raises ContextErased."""
        history = self.history(context.context_id)
        if history is None:
            history = histories.create(self.conn, context.context_id, context.keys_json, self.now)
            self._histories[context.context_id] = history
        elif context.keys_json is not None and history.keys is None:
            histories.check_sound(history)
            history.keys = context.keys_json
            histories.write(self.conn, history)
        else:
            return history
        if context.keys:
            _ADD_KEYS.many(self.conn, [(name, value, history.id) for name, value in context.keys.items()])
        return history

    def add_block(self, row: Row) -> None:
        """Stores a block's row with this commit."""
        self._blocks.append(row)

    def log(self, history: History, type: int, row: Row, block: Block, replaced: Row | None = None) -> None:
        """Logs and announces a change of a block, given as its row is then and as a model.

        `replaced`: the number and the checksum of the last entry about the block before, if there is one.
        """
        sequence = history.head + 1
        checksum = checksums.of_block(sequence, type, row)
        if replaced is not None:
            checksum = checksums.replacing(checksum, *replaced)
        self._add(history, block.context_id, type, block.index, None, None, checksum)
        cursors = self.cursors(block.context_id)
        self._announce(block.context_id, partial(to_entry, type, sequence, block, cursors))

    def log_text(self, history: History, block: Block, offset: int, text: str) -> None:
        """Logs and announces a piece of text of an open block."""
        sequence = history.head + 1
        checksum = checksums.of_text(sequence, block.index, offset, text)
        self._add(history, block.context_id, TEXT_APPENDED, block.index, offset, text, checksum)
        cursors = self.cursors(block.context_id)
        self._announce(block.context_id, partial(to_text_entry, sequence, offset, text, block, cursors))

    def log_run(self, history: History, type: int, row: Row, run: Run, replaced: Row | None = None) -> None:
        """Logs and announces the start or the end of a run, which replaces it, as `log` does a change of a block."""
        sequence = history.head + 1
        checksum = checksums.of_run(sequence, type, row)
        if replaced is not None:
            checksum = checksums.replacing(checksum, *replaced)
        self._add(history, run.context_id, type, None, None, run.id, checksum)
        cursors = self.cursors(run.context_id)
        self._announce(run.context_id, partial(to_run_entry, type, sequence, run, cursors))

    def log_erased(self, history: History, context_id: str) -> None:
        """Logs and announces, as the last entry of a history, that it was erased."""
        sequence = history.head + 1
        self._add(history, context_id, HISTORY_ERASED, None, None, None, checksums.of_erasure(sequence))
        self._announce(context_id, partial(to_erased_entry, sequence, context_id, self.cursors(context_id)))

    def _add(self, history: History, context_id: str, type: int, *values: object) -> None:
        """Adds an entry to a history's log, under its next number."""
        history.head += 1
        if type != TEXT_APPENDED:  # nothing that is stored would prove the time of a piece
            history.updated_at = self.now
        self._changes.append((history.id, history.head, type, *values))
        self._written.add(context_id)

    def _announce(self, context_id: str, entry: Callable[[], Entry]) -> None:
        self.announced.setdefault(context_id, []).append(entry)

    def flush_blocks(self) -> None:
        """Sends the gathered blocks, so that reads of this transaction see them."""
        if self._blocks:
            _ADD_BLOCKS.many(self.conn, self._blocks)
            self._blocks = []

    def flush(self) -> None:
        """The same, with the entries of the log."""
        self.flush_blocks()
        if self._changes:
            # Any one entry would do, for a transaction is committed whole; the last is at hand.
            history_id, sequence, *_, checksum = self._changes[-1]
            self.proof = Proof(history_id, sequence, checksum)
            _ADD_CHANGES.many(self.conn, self._changes)
            self._changes = []

    def finish(self) -> None:
        """Sends everything gathered and sets the counters; what remains is the commit."""
        self.flush()
        written = (self._histories[context_id] for context_id in self._written)
        counted = [(one.head, one.count, one.last_user, one.updated_at, one.id) for one in written if one is not None]
        if counted:
            _COUNT.many(self.conn, counted)

    def block(self, row: Row, context_id: str) -> Block:
        """The model of a row."""
        cursors: CursorFactory = self.cursors(context_id)
        return to_block(row, context_id, cursors)
