"""One write transaction: the histories it touches, the rows it gathers, the changes it will announce."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, insert, update

from chatstore import ids
from chatstore.changes import Entry
from chatstore.cursor import CursorFactory
from chatstore.model import Block, Run
from chatstore.operations import histories
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import TEXT_AT, Cursors, to_block, to_entry, to_run_entry, to_text_entry
from chatstore.schema import TEXT_APPENDED, blocks, changes, context_keys
from chatstore.schema import histories as histories_table


@dataclass(frozen=True, slots=True)
class ContextRef:
    """A context as a caller named it: its id, and its keys as JSON when it was named by them."""

    context_id: str
    keys: Mapping[str, str] | None = None
    keys_json: str | None = None


_CREATE = Prepared(
    insert(histories_table).values(
        {name: bindparam(name) for name in ("context_id", "context_keys", "head", "count", "created_at", "updated_at")}
    )
)
_SET_KEYS = Prepared(
    update(histories_table)
    .where(histories_table.c.id == bindparam("history_id"))
    .values(context_keys=bindparam("new_keys"))
)
_ADD_KEYS = Prepared(insert(context_keys))
_COUNT = Prepared(
    update(histories_table)
    .ordered_values(
        (histories_table.c.head, bindparam("new_head")),
        (histories_table.c.count, bindparam("new_count")),
        (histories_table.c.last_user, bindparam("new_last_user")),
        (histories_table.c.updated_at, bindparam("now")),
    )
    .where(histories_table.c.id == bindparam("history_id"))
)
_ADD_BLOCKS = Prepared(insert(blocks))
_ADD_CHANGES = Prepared(
    insert(changes).values({column.name: bindparam(column.name) for column in changes.c if column.name != "id"})
)


Announcement: TypeAlias = dict[str, list[Callable[[], Entry]]]
"""What a commit changed, by context, in order; each is made only where somebody follows that context."""


class Transaction:
    """Gathers what the writes of one commit do, so that rows go in together and each counter is set once.

    A write that refuses (raises an error of ours) must do so before it changes anything: its neighbours in the
    same commit go on. `known` are histories as they are now; those that are looked up are added.
    """

    def __init__(self, conn: Connection, cursors: Cursors, known: dict[str, History | None]) -> None:
        self.conn = conn
        self.cursors = cursors
        self.now = ids.now()
        self.announced: Announcement = {}
        self.after_commit: list[Callable[[], None]] = []
        self._histories = known
        self._written: set[str] = set()
        self._blocks: list[Row] = []
        self._changes: list[Row] = []
        self._rows = self._characters = 0

    @property
    def pages(self) -> int:
        """About how many pages of the database it changes: those that each history has in the tables and indexes, and
        what is new."""
        return 7 * len(self._written) + self._rows // 8 + self._characters // 1_500

    def history(self, context_id: str) -> History | None:
        """The history of a context, held for this transaction, as the writes so far left it."""
        if context_id not in self._histories:
            self._histories[context_id] = histories.lock(self.conn, context_id)
        return self._histories[context_id]

    def open_history(self, context: ContextRef) -> History:
        """The same, created when there is none."""
        history = self.history(context.context_id)
        if history is None:
            _CREATE.run(
                self.conn,
                context_id=context.context_id,
                context_keys=context.keys_json,
                head=0,
                count=0,
                created_at=self.now,
                updated_at=self.now,
            )
            history = histories.lock(self.conn, context.context_id)
            assert history is not None
            self._histories[context.context_id] = history
        elif context.keys_json is not None and history.keys is None:
            _SET_KEYS.run(self.conn, history_id=history.id, new_keys=context.keys_json)
        else:
            return history
        history.keys = context.keys_json
        if context.keys:
            _ADD_KEYS.many(self.conn, [(name, value, history.id) for name, value in context.keys.items()])
        return history

    def add_block(self, row: Row) -> None:
        """Stores a block's row with this commit."""
        self._blocks.append(row)
        self._rows += 1
        self._characters += len(row[TEXT_AT])

    def log(self, history: History, type: int, block: Block) -> None:
        """Logs and announces a change of a block."""
        sequence = self._next(history, block.context_id, type, block.index)
        cursors = self.cursors(block.context_id)
        self._announce(block.context_id, partial(to_entry, type, sequence, block, cursors))

    def log_text(self, history: History, block: Block, offset: int, text: str) -> None:
        """Logs and announces a piece of text of an open block."""
        sequence = self._next(history, block.context_id, TEXT_APPENDED, block.index, offset, text)
        self._characters += len(text)
        cursors = self.cursors(block.context_id)
        self._announce(block.context_id, partial(to_text_entry, sequence, offset, text, block, cursors))

    def log_run(self, history: History, type: int, run: Run) -> None:
        """Logs and announces the start or the end of a run."""
        sequence = self._next(history, run.context_id, type, None, None, run.id)
        cursors = self.cursors(run.context_id)
        self._announce(run.context_id, partial(to_run_entry, type, sequence, run, cursors))

    def _next(self, history: History, context_id: str, type: int, *values: object) -> int:
        """Takes the next number of a history for an entry of its log."""
        history.head += 1
        self._changes.append((history.id, history.head, type, *values, *(None,) * (3 - len(values))))
        self._rows += 1
        self._written.add(context_id)
        return history.head

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
            _ADD_CHANGES.many(self.conn, self._changes)
            self._changes = []

    def finish(self) -> None:
        """Sends everything gathered and sets the counters; what remains is the commit."""
        self.flush()
        written = (self._histories[context_id] for context_id in self._written)
        counted = [(one.head, one.count, one.last_user, self.now, one.id) for one in written if one is not None]
        if counted:
            _COUNT.many(self.conn, counted)

    def block(self, row: Row, context_id: str) -> Block:
        """The model of a row."""
        cursors: CursorFactory = self.cursors(context_id)
        return to_block(row, context_id, cursors)
