"""A check of one history: its rows against its log, and against each other.

It reads in pages, each within one snapshot that begins with what is new in the log. So writers may go on, nothing is
told that is only not there yet, and no checkpoint is held up for longer than a page takes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import accumulate
from typing import Final, TypeAlias, TypeVar

from sqlalchemy import Connection, bindparam, select

from chatstore import ids
from chatstore.errors import StorageError
from chatstore.kinds import speaker_of, views_of
from chatstore.operations import checksums, histories
from chatstore.operations.checksums import checked
from chatstore.operations.histories import History
from chatstore.operations.integrity import checking_own
from chatstore.operations.integrity.checking_beside import Beside, Page, has_its_lease
from chatstore.operations.integrity.checking_log import LOG_PAGE, LogReader, Tell, entry_at
from chatstore.operations.integrity.checking_runs import Runs
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, TEXT_AT
from chatstore.schema import TEXT_APPENDED, blocks, changes

T = TypeVar("T")
Snapshots: TypeAlias = Callable[[], AbstractContextManager[Connection]]
"""Gives a connection within one read transaction, at each call."""

UNREADABLE: Final = (StorageError, TypeError, ValueError)
"""What reading a damaged row may raise: the database's own errors, and those of values of a type never written."""
PAGE: Final = 500
"""Blocks read in one snapshot."""
_EACH: Final = 100
"""Blocks that are missing in a row and told one by one; more are told together."""

_ID_AT, _TYPE_AT, _ROLE_AT, _PARENT_AT, _INTERNAL_AT, _VIEWS_AT, _SPEAKER_AT, _STATE_AT, _SEQUENCE_AT = (
    BLOCK_COLUMNS.index(blocks.c[name])
    for name in ("id", "type", "role", "parent_id", "internal", "views", "speaker", "state", "sequence")
)
_LEASE_AT, _PIECES_AT = (BLOCK_COLUMNS.index(blocks.c[name]) for name in ("lease_id", "pieces_until"))

_BLOCKS = Prepared(
    select(*BLOCK_COLUMNS)
    .where(blocks.c.history_id == bindparam("history_id"), blocks.c.index >= bindparam("first"))
    .order_by(blocks.c.index)
    .limit(bindparam("limit"))
)
_PIECES = Prepared(
    select(changes.c.offset, changes.c.text)
    .where(
        changes.c.history_id == bindparam("history_id"),
        changes.c.sequence > bindparam("added"),
        changes.c.sequence <= bindparam("until"),
        changes.c.type == TEXT_APPENDED,
        changes.c.block_index == bindparam("at"),
    )
    .order_by(changes.c.sequence)
)
_ID = Prepared(
    select(blocks.c.id).where(blocks.c.history_id == bindparam("history_id"), blocks.c.index == bindparam("at"))
)


class HistoryCheck:
    """Checks one history; `done` is told of blocks as they are looked at."""

    def __init__(self, snapshots: Snapshots, history_id: int, tell: Tell, done: Callable[[int], None]) -> None:
        self.blocks: int = 0
        self.log: LogReader = LogReader(history_id, tell)
        self._snapshots = snapshots
        self._id = history_id
        self._tell = tell
        self._done = done
        self._last_user: int | None = None
        self._next = 0
        self._beside = Beside(history_id, tell)
        self._runs = Runs(history_id, self.log, tell)

    def run(self) -> None:
        """Looks at everything of the history. Raises a StorageError where its own row cannot be read."""
        with self._snapshots() as conn:
            history = self._counted(conn)
            checking_own.check_row(history, self._tell)
            if history.erased is not None:
                checking_own.check_erased(conn, history, self._tell)
                return
        self._catch_up()
        # From the least number there is: a turned bit may have made an index negative.
        first, size, more = -(2**63), PAGE, True
        while more:
            try:
                more, first = self._read(partial(self._page, first=first, size=size))
                size = min(2 * size, PAGE)
            # One row that cannot be read fails its whole page: so it is looked for row by row, and behind it pages grow
            # again.
            except UNREADABLE as error:
                if size == 1:
                    first = max(self._next, first) + 1
                    self._skip(first - 1, error)
                    more = first < self.log.blocks
                size = 1
        self._tolerant("runs", self._check_runs)
        for table, pages in self._beside.parts():
            self._tolerant(table, partial(self._in_pages, pages))
        self._tolerant("changes", partial(self._read, self._finish))

    def _read(self, read: Callable[[Connection, History], T]) -> T:
        """What a function of a snapshot and the history's row in it gives, once the log was read up to there."""
        while True:
            with self._snapshots() as conn:
                history = self._counted(conn)
                if self.log.read(conn, history):
                    return read(conn, history)

    def _counted(self, conn: Connection) -> History:
        history = histories.by_number(conn, self._id)
        if history is None:
            raise StorageError("the history's own row is gone")
        return history

    def _catch_up(self) -> None:
        """Reads the log, entry by entry where a page of it cannot be read."""
        caught_up, limit = False, LOG_PAGE
        while not caught_up:
            try:
                with self._snapshots() as conn:
                    caught_up = self.log.read(conn, self._counted(conn), limit)
            except UNREADABLE:
                if limit == 1 and not self._skip_entry():
                    return
                limit = 1

    def _skip_entry(self) -> bool:
        with self._snapshots() as conn:
            if self.log.position >= self._counted(conn).head:
                return False
        self.log.skip()
        return True

    def _skip(self, index: int, error: Exception) -> None:
        self._tell(index, "blocks", f"its row cannot be read: {error}")
        self._next = index + 1

    def _tolerant(self, table: str, work: Callable[[], object]) -> None:
        try:
            work()
        except UNREADABLE as error:
            self._tell(None, table, f"what is stored of it cannot be read: {error}")

    def _in_pages(self, page: Page) -> None:
        offset = 0
        while count := self._read(partial(_at, page, offset)):
            offset += count

    def _page(self, conn: Connection, history: History, *, first: int, size: int) -> tuple[bool, int]:
        rows = _BLOCKS.all(conn, history_id=self._id, first=first, limit=size)
        known = {row[1]: row[_ID_AT] for row in rows}
        for row in rows:
            self._check_place(row, history)
            self._check_row(row)
            self._check_open(conn, row)
            self._check_parent(conn, row, history.first_index, known)
            self._beside.check_block(conn, row)
        self.blocks += len(rows)
        self._done(len(rows))
        if len(rows) == size:
            return True, rows[-1][1] + 1
        self._check_counters(history)
        return False, 0

    def _check_place(self, row: Row, history: History) -> None:
        index = row[1]
        if not history.first_index <= index < history.count:
            kept = f"which has blocks {history.first_index:,} to {history.count - 1:,}"
            self._tell(index, "blocks", f"it lies outside of the history, {kept}")
            return
        self._tell_missing(max(self._next, history.first_index), index)
        self._next = index + 1
        if row[_TYPE_AT] == "message" and row[_ROLE_AT] == "user":
            self._last_user = index

    def _tell_missing(self, first: int, end: int) -> None:
        if end - first > _EACH:
            self._tell(first, "blocks", f"it is missing, and so are all up to {end - 1:,}")
            return
        for index in range(first, end):
            self._tell(index, "blocks", "it is missing")

    def _check_row(self, row: Row) -> None:
        index, entry = row[1], self.log.block(row[1])
        if entry is None:
            self._tell(index, "changes", "no entry of the log adds it")
        elif checked(checksums.of_block, entry.sequence, entry.type, row) != checksums.halves(entry.checksum)[0]:
            self._tell(index, "blocks", f"its row is not what entry {entry.sequence} of the log says it was")
        elif row[_SEQUENCE_AT] != entry.first:
            self._tell(index, "blocks", f"it names entry {row[_SEQUENCE_AT]} of the log, and {entry.first} adds it")
        if _index_in(row[_ID_AT]) != index:
            self._tell(index, "blocks", "its id is that of another place")
        kind = row[_TYPE_AT], row[_ROLE_AT], bool(row[_INTERNAL_AT])
        if (views_of(*kind), speaker_of(*kind)) != (row[_VIEWS_AT], row[_SPEAKER_AT]):
            self._tell(index, "blocks", "it is kept among the wrong kinds")

    def _check_open(self, conn: Connection, row: Row) -> None:
        """What the checksum does not tell: that its lease is there, and the pieces of one that has ended."""
        index, is_open, lease, until = row[1], row[_STATE_AT] == "open", row[_LEASE_AT], row[_PIECES_AT]
        if not has_its_lease(conn, is_open, lease):
            self._tell(index, "blocks", "it is open and under no lease" if is_open else "it is over, and under a lease")
        entry = self.log.block(index)
        if until is not None and entry is not None and (is_open or not self.log.closes(index, until + 1)):
            self._tell(index, "blocks", "its pieces do not end in the log where it says")
        elif not is_open and not self._has_its_pieces(conn, row):
            self._tell(index, "changes", "the pieces of its text do not make the text that it has")

    def _has_its_pieces(self, conn: Connection, row: Row) -> bool:
        """Whether what is left of the pieces of a finished block is in its text, or none is where it says so."""
        added, until, text, index = row[_SEQUENCE_AT], row[_PIECES_AT], row[TEXT_AT], row[1]
        if until is None:
            seen = self.log.pieces.get(index)
            entry = None if seen is None else entry_at(conn, self._id, seen)
            return entry is None or entry[:2] != (TEXT_APPENDED, index)
        pieces = _PIECES.all(conn, history_id=self._id, added=added, until=until, at=index)
        # Compaction removes them from the first on, and the last words of a block come with its end.
        return not pieces or (_follow(pieces) and text.startswith("".join(p for _, p in pieces), pieces[0][0]))

    def _check_parent(self, conn: Connection, row: Row, first_index: int, known: dict[int, bytes]) -> None:
        parent = row[_PARENT_AT]
        if parent is None:
            return
        place = _index_in(parent)
        if place not in known:
            found = _ID.first(conn, history_id=self._id, at=place)
            known[place] = b"" if found is None else found[0]
        if not 0 <= place < row[1] or (known[place] != parent and place >= first_index):
            self._tell(row[1], "blocks", "its parent is no block before it")

    def _check_counters(self, history: History) -> None:
        end = max(self._next, history.first_index)
        if end < history.count:
            if self.log.blocks <= end:
                self._tell(None, "histories", f"it counts {history.count:,} blocks, and the last is {end - 1:,}")
            else:
                self._tell_missing(end, history.count)
        asked = self._last_user
        if history.last_user != (None if asked is None or asked < history.first_index else asked):
            self._tell(None, "histories", "it has the wrong block for the last message of the user")

    def _check_runs(self) -> None:
        self._in_pages(self._runs.page)
        self._read(self._runs.tell_lost)

    def _finish(self, conn: Connection, history: History) -> None:
        self.log.finish(history.head)
        checking_own.check_times(conn, history, self._tell)


def _at(page: Page, offset: int, conn: Connection, history: History) -> int:
    return page(conn, history, offset)


def _follow(pieces: list[Row]) -> bool:
    """Whether each piece begins where the one before ends."""
    ends = accumulate((len(text) for _, text in pieces), initial=pieces[0][0])
    return all(offset == end for (offset, _), end in zip(pieces, ends, strict=False))


def _index_in(id: object) -> int:
    return ids.index_of(id) if isinstance(id, bytes) and len(id) == 16 else -1
