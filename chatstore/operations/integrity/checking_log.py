"""The log of one history, read from its first entry for a check: what it says of each block and run.

Of each block the last entry is kept, whose checksum proves the row, in arrays: a million blocks take 33 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import Connection, bindparam, select

from chatstore.operations import checksums
from chatstore.operations.checksums import checked
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.schema import (
    BLOCK_ADDED,
    BLOCK_CLOSED,
    BLOCK_UPDATED,
    RUN_ENDED,
    RUN_STARTED,
    TEXT_APPENDED,
    changes,
)

Tell: TypeAlias = Callable[[int | None, str, str], None]
"""Takes a problem: the block's index, if it is about one, the table, and what is wrong."""

LOG_PAGE: Final = 2_000
"""Entries read in one snapshot."""
_FARTHEST: Final = 1_000_000
"""How far behind the blocks known so far the index in an entry may lie, and be taken for one."""

_PAGE = Prepared(
    select(
        changes.c.sequence,
        changes.c.type,
        changes.c.block_index,
        changes.c.offset,
        changes.c.text,
        changes.c.checksum,
    )
    .where(changes.c.history_id == bindparam("history_id"), changes.c.sequence > bindparam("after"))
    .order_by(changes.c.sequence)
    .limit(bindparam("limit"))
)


_ENTRY = Prepared(
    select(changes.c.type, changes.c.block_index, changes.c.text, changes.c.checksum).where(
        changes.c.history_id == bindparam("history_id"), changes.c.sequence == bindparam("sequence")
    )
)


def entry_at(conn: Connection, history_id: int, sequence: int) -> Row | None:
    """Type, block index, text and checksum of the entry with a number."""
    return _ENTRY.first(conn, history_id=history_id, sequence=sequence)


@dataclass(frozen=True, slots=True)
class LastEntry:
    """The last entry about a block or a run, and the number of the first one."""

    sequence: int
    type: int
    checksum: int
    first: int


class LogReader:
    """Reads the log page by page, whatever is in it, and tells what cannot be right by itself."""

    def __init__(self, history_id: int, tell: Tell) -> None:
        self.position: int = 0
        self.entries: int = 0
        self.runs: dict[str, LastEntry] = {}
        self._history_id = history_id
        self._first_index = 0
        self._tell = tell
        self._first, self._last, self._closed, self._checksum = (array("q") for _ in range(4))
        self._type = array("b")
        self.gaps: list[tuple[int, int]] = []
        """The numbers, from and to, that no entry has, and compaction does not explain."""
        self.pieces: dict[int, int] = {}
        """The last of the pieces of text that are there of a block, by its index."""
        self._ends: dict[int, int] = {}
        self._torn: dict[int, int] = {}

    def read(self, conn: Connection, history: History, limit: int = LOG_PAGE) -> bool:
        """Reads on, behind what retention has removed by now; whether that was the end."""
        self.position = max(self.position, history.first)
        self._first_index = history.first_index
        # From the least number there is: a turned bit may have made a sequence negative, and that is to be told.
        start = self.position or -(2**63)
        rows = _PAGE.all(conn, history_id=self._history_id, after=start, limit=limit)
        for row in rows:
            self.take(row)
        return len(rows) < limit

    def skip(self) -> None:
        """Leaves out the next entry, which cannot be read."""
        self.position += 1
        self._tell(None, "changes", f"entry {self.position} of the log cannot be read")

    def block(self, index: int) -> LastEntry | None:
        """The last entry about a block."""
        if not 0 <= index < len(self._first) or not self._first[index]:
            return None
        return LastEntry(self._last[index], self._type[index], self._checksum[index], self._first[index])

    def closes(self, index: int, sequence: int) -> bool:
        """Whether the entry of this number is the end of a block that had grown."""
        return self._closed[index] == sequence

    @property
    def retained(self) -> bool:
        """Whether retention has removed the beginning of the history."""
        return self._first_index > 0

    @property
    def blocks(self) -> int:
        """The blocks that the log knows of, if none is missing."""
        return len(self._first)

    def finish(self, head: int) -> None:
        """Tells what is missing, now that the log was read to its end."""
        for first, last in self.gaps:
            self._tell(None, "changes", f"{_entries(first, last)} of the log are missing")
        for index, offset in self._torn.items():
            self._tell(index, "changes", f"the piece of its text at character {offset} is missing")
        if self.position != head:
            self._tell(None, "histories", f"it counts {head:,} entries of the log, which ends at {self.position:,}")

    def take(self, row: Row) -> None:
        """Takes the next entry."""
        sequence, type, index, offset, text, checksum = row
        self.entries += 1
        if sequence < 1:
            self._tell(_number(index), "changes", f"an entry of the log has the number {sequence}")
            return
        if sequence != self.position + 1:
            self.gaps.append((self.position + 1, sequence - 1))
        self.position = sequence
        if not _is_well_formed(type, index, offset, text, checksum):
            self._tell(_number(index), "changes", f"entry {sequence} of the log is of no kind there is")
        elif index is not None and index < self._first_index:
            self._take_left(sequence, type, index, offset, text, checksum)
        elif type == TEXT_APPENDED:
            self._take_text(sequence, index, offset, text, checksum)
        elif type in (RUN_STARTED, RUN_ENDED):
            self._take_run(sequence, type, text, checksum)
        elif type == BLOCK_ADDED:
            self._take_added(sequence, index, checksum)
        else:
            self._take_change(sequence, type, index, checksum)

    def _take_left(self, sequence: int, type: int, index: int, offset: int, text: str, checksum: int) -> None:
        """Takes an entry about a block that retention has removed."""
        own = checksums.of_left(sequence, type, index)
        if type == TEXT_APPENDED:
            own = checked(checksums.of_text, sequence, index, offset, text) or 0
        if own != checksum:
            self._tell(index, "changes", f"entry {sequence} of the log, about a removed block, is not what was written")

    def _take_added(self, sequence: int, index: int, checksum: int) -> None:
        known = len(self._first)
        if index > known + _FARTHEST:
            self._tell(index, "changes", f"entry {sequence} of the log adds it far behind the last block")
            return
        if index < known and self._first[index]:
            self._tell(index, "changes", f"entry {sequence} of the log adds it a second time")
            return
        missing = [0] * (index + 1 - known)
        for values in (self._first, self._last, self._closed, self._checksum, self._type):
            values.extend(missing)
        self._first[index] = sequence
        self._set(index, sequence, BLOCK_ADDED, checksum)

    def _take_change(self, sequence: int, type: int, index: int, checksum: int) -> None:
        before = self.block(index)
        if before is None:
            # Its index may be what was turned, and the block one that retention has removed: so that the right one is
            # named.
            tried = (index ^ 1 << bit for bit in range(63))
            left = (one for one in tried if checksums.of_left(sequence, type, one) == checksum)
            what = f"entry {sequence} of the log changes it, and none before adds it"
            self._tell(next(left, index), "changes", what)
            return
        if checksums.halves(checksum)[1] != checksums.of_replaced(before.sequence, before.checksum):
            self._tell(index, "changes", f"entry {before.sequence} of the log is not what entry {sequence} replaced")
        if type == BLOCK_CLOSED:
            # Compaction removes the pieces of a finished block, so nothing is wrong with what is missing within it.
            while self.gaps and self.gaps[-1][0] > before.first:
                self.gaps.pop()
            self._torn.pop(index, None)
            self._ends.pop(index, None)
            self._closed[index] = sequence
        self._set(index, sequence, type, checksum)

    def _take_text(self, sequence: int, index: int, offset: int, text: str, checksum: int) -> None:
        if checked(checksums.of_text, sequence, index, offset, text) != checksum:
            meant = _index_meant(sequence, index, offset, text, checksum)
            self._tell(meant, "changes", f"entry {sequence} of the log, a piece of its text, is not what was written")
        if self.block(index) is None:
            self._tell(index, "changes", f"entry {sequence} of the log is text of it, and none before adds it")
            return
        if self._closed[index]:
            self._tell(index, "changes", f"entry {sequence} of the log is text of it, behind its end")
        self.pieces[index] = sequence
        end = self._ends.get(index, 0)
        if offset != end:
            self._torn.setdefault(index, end)
        self._ends[index] = offset + len(text)

    def _take_run(self, sequence: int, type: int, run_id: str, checksum: int) -> None:
        before = self.runs.get(run_id)
        if before is None and type == RUN_ENDED and self.retained:
            before = LastEntry(0, RUN_STARTED, 0, 0)
        if (before is None) != (type == RUN_STARTED) or (before is not None and before.type == RUN_ENDED):
            self._tell(None, "changes", f"entry {sequence} of the log starts or ends run {run_id!a} out of turn")
        self.runs[run_id] = LastEntry(sequence, type, checksum, sequence if before is None else before.first)

    def _set(self, index: int, sequence: int, type: int, checksum: int) -> None:
        self._last[index], self._type[index], self._checksum[index] = sequence, type, checksum


def _index_meant(sequence: int, index: int, offset: int, text: str, checksum: int) -> int:
    """The index with one bit turned, if it is that which the checksum does not fit; else the index."""
    tried = (index ^ 1 << bit for bit in range(63))
    return next((one for one in tried if checked(checksums.of_text, sequence, one, offset, text) == checksum), index)


def _is_well_formed(type: object, index: object, offset: object, text: object, checksum: object) -> bool:
    halves = 2 if type in (BLOCK_UPDATED, BLOCK_CLOSED, RUN_ENDED) else 1
    if not isinstance(checksum, int) or not 0 <= checksum < 1 << halves * checksums.HALF:
        return False
    if type == TEXT_APPENDED:
        return isinstance(index, int) and index >= 0 and isinstance(offset, int) and isinstance(text, str)
    if type in (BLOCK_ADDED, BLOCK_UPDATED, BLOCK_CLOSED):
        return isinstance(index, int) and index >= 0 and offset is None and text is None
    return type in (RUN_STARTED, RUN_ENDED) and index is None and offset is None and isinstance(text, str)


def _number(index: object) -> int | None:
    return index if isinstance(index, int) else None


def _entries(first: int, last: int) -> str:
    return f"entry {first:,}" if first == last else f"entries {first:,} to {last:,}"
