"""The rows of one history as a repair has them before it: blocks, runs, and the log that has to fit them.

An entry fits when its checksum is that of itself and of what it is about, or, where a later entry has replaced it,
when it stands where the row says. What does not fit is tried with one bit turned, in the row and in the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from chatstore import ids
from chatstore.errors import StorageError
from chatstore.operations import checksums
from chatstore.operations.checksums import checked
from chatstore.operations.histories import History
from chatstore.operations.integrity.checking_log import LogReader
from chatstore.operations.integrity.restoring import restored
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, RUN_COLUMNS, SEQUENCE_AT, STATE_AT, TEXT_AT
from chatstore.schema import (
    BLOCK_ADDED,
    BLOCK_CLOSED,
    BLOCK_UPDATED,
    RUN_ENDED,
    RUN_STARTED,
    TEXT_APPENDED,
    blocks,
    changes,
    runs,
)

MOST_LOST: Final = 2_000
"""Entries of one history's log that a repair stands in for, at most."""
SEQUENCE, TYPE, INDEX, OFFSET, TEXT, CHECKSUM, ID = range(7)
"""Where they are in an entry."""

_OF_BLOCKS: Final = (BLOCK_ADDED, BLOCK_UPDATED, BLOCK_CLOSED)
_REPLACING: Final = (BLOCK_UPDATED, BLOCK_CLOSED, RUN_ENDED)
_PROVED = tuple(
    place
    for place, column in enumerate(BLOCK_COLUMNS)
    if column.name not in ("history_id", "views", "speaker", "pieces_until")
)
_RUN_PROVED = tuple(range(1, len(RUN_COLUMNS)))
_LEASE_AT = BLOCK_COLUMNS.index(blocks.c.lease_id)
RUN_SEQUENCE_AT = RUN_COLUMNS.index(runs.c.sequence)

_ENTRIES = Prepared(
    select(*(changes.c[n] for n in ("sequence", "type", "block_index", "offset", "text", "checksum", "id")))
    .where(changes.c.history_id == bindparam("history"))
    .order_by(changes.c.sequence)
)
_BLOCKS = Prepared(select(*BLOCK_COLUMNS).where(blocks.c.history_id == bindparam("history")).order_by(blocks.c.index))
_RUNS = Prepared(select(*RUN_COLUMNS).where(runs.c.history_id == bindparam("history")).order_by(runs.c.sequence))


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is written over another; `before` None: a new one, `after` None: it is removed."""

    table: str
    before: Row | None
    after: Row | None


class Rows:
    """What is stored of a history, and what of it was put right so far: `changes`, in order."""

    def __init__(self, conn: Connection, history: History) -> None:
        self.history_id: int = history.id
        self.first: int = history.first
        self.first_index: int = history.first_index
        self._head = history.head
        self.entries: list[Row] = _ENTRIES.all(conn, history=self.history_id)
        self.blocks: dict[Any, Row] = {row[1]: row for row in _BLOCKS.all(conn, history=self.history_id)}
        self.runs: dict[Any, Row] = {row[1]: row for row in _RUNS.all(conn, history=self.history_id)}
        self.changes: list[Change] = []
        self._index()

    def _index(self) -> None:
        """Finds the last entries anew, after something has changed."""
        self.entries.sort(key=lambda entry: entry[SEQUENCE])
        self.last: dict[Any, Row] = {}
        self.added: dict[Any, Row] = {}
        self.last_of_run: dict[Any, Row] = {}
        replacing = [entry for entry in self.entries if entry[TYPE] in _REPLACING and isinstance(entry[CHECKSUM], int)]
        self._replaced = {(_about(entry), checksums.halves(entry[CHECKSUM])[1]) for entry in replacing}
        for entry in self.entries:
            if entry[TYPE] in _OF_BLOCKS and isinstance(entry[INDEX], int):
                self.last[entry[INDEX]] = entry
                if entry[TYPE] == BLOCK_ADDED:
                    self.added.setdefault(entry[INDEX], entry)
            elif entry[TYPE] in (RUN_STARTED, RUN_ENDED):
                self.last_of_run[entry[TEXT]] = entry

    def put(self, table: str, before: Row | None, after: Row | None) -> None:
        """Writes a row over another, here; the database gets all at the end."""
        made = [at for at, change in enumerate(self.changes) if before is not None and change.after is before]
        if made and table == "changes" and before is not None and before[ID] is None:
            self.changes[made[0]] = Change(table, None, after)  # it is not stored yet
        else:
            self.changes.append(Change(table, before, after))
        if table == "changes":
            self.entries = [entry for entry in self.entries if entry is not before]
            if after is not None:
                self.entries.append(after)
            self._index()
            return
        kept = self.blocks if table == "blocks" else self.runs
        if before is not None:
            kept.pop(before[1], None)
        if after is not None:
            kept[after[1]] = after

    def is_proved(self, row: Row) -> bool:
        """Whether a block's row is what the last entry about it says."""
        entry = self.last.get(row[1])
        return entry is not None and _is_sealed_by(_of_block(entry, row), entry) and ids.index_of(row[2]) == row[1]

    def is_whole(self, row: Row) -> bool:
        """Whether nothing of the text of an open block is missing in the log; that of another is in its row."""
        if row[STATE_AT] != "open":
            return True
        pieces = self.entries_of(row[1], TEXT_APPENDED)
        if not all(self.is_sealed(piece) for piece in pieces):
            return False
        ends = accumulate((len(piece[TEXT]) for piece in pieces), initial=0)
        return all(piece[OFFSET] == end for piece, end in zip(pieces, ends, strict=False))

    def is_run_proved(self, row: Row) -> bool:
        """The same, of a run's."""
        entry = self.last_of_run.get(row[1])
        return entry is not None and _is_sealed_by(_of_run(entry, row), entry)

    def is_sealed(self, entry: Row) -> bool:
        """Whether an entry's checksum is that of itself and of what is stored."""
        sequence, type, index, offset, text, checksum = entry[:6]
        if type == TEXT_APPENDED:
            return bool(checked(checksums.of_text, sequence, index, offset, text) == checksum)
        if type in (RUN_STARTED, RUN_ENDED):
            run = self.runs.get(text)
            return run is not None and index is None and _is_sealed_by(_of_run(entry, run), entry)
        row = self.blocks.get(index)
        if type not in _OF_BLOCKS or row is None or offset is not None or text is not None:
            return False
        return _is_sealed_by(_of_block(entry, row), entry)

    def is_left(self, entry: Row) -> bool:
        """Whether an entry is one that retention has left, about a block or a run that it removed."""
        about = entry[TEXT] if entry[INDEX] is None else entry[INDEX]
        there = about in self.runs if entry[INDEX] is None else about >= self.first_index
        return not there and checked(checksums.of_left, entry[SEQUENCE], entry[TYPE], about) == entry[CHECKSUM]

    def fits(self, entry: Row) -> bool:
        """Whether an entry may have been written with what is stored: it is sealed, or a later one has replaced it."""
        return self.is_sealed(entry) or self.is_left(entry) or self._is_replaced(entry)

    def _is_replaced(self, entry: Row) -> bool:
        """Whether a later entry says that it has replaced this one."""
        sequence, type, index, offset, text, checksum = entry[:6]
        if type not in (*_OF_BLOCKS, RUN_STARTED) or offset is not None or (text is None) == (index is None):
            return False
        row = self.blocks.get(index) if text is None else self.runs.get(text)
        added = None if row is None else row[SEQUENCE_AT if text is None else RUN_SEQUENCE_AT]
        if added is None or (sequence != added if type in (BLOCK_ADDED, RUN_STARTED) else sequence <= added):
            return False
        if type not in _REPLACING and checksums.halves(checksum)[1]:
            return False
        return (_about(entry), checksums.of_replaced(sequence, checksum)) in self._replaced

    def restore(self) -> None:
        """Puts back what one turned bit explains, rows first, until nothing more is found."""
        found = True
        while found:
            found = self._restore_rows() or self._restore_entries()

    def _restore_rows(self) -> bool:
        found = False
        for table, rows, columns, is_proved in (
            ("blocks", self.blocks, _PROVED, self.is_proved),
            ("runs", self.runs, _RUN_PROVED, self.is_run_proved),
        ):
            for row in [row for row in rows.values() if not is_proved(row)]:
                free = partial(_is_free, rows, row)
                again = self._with_its_text(row) or self._without_lease(row) if table == "blocks" else None
                again = again or restored(row, columns, lambda tried: free(tried) and is_proved(tried))  # noqa: B023
                if again is not None:
                    self.put(table, row, again)
                    found = True
        return found

    def _with_its_text(self, row: Row) -> Row | None:
        """The row with the text that its pieces make, if that is proved."""
        pieces = [entry[TEXT] for entry in self.entries if entry[TYPE] == TEXT_APPENDED and entry[INDEX] == row[1]]
        if not pieces or not all(isinstance(piece, str) for piece in pieces):
            return None
        tried = (*row[:TEXT_AT], "".join(pieces), *row[TEXT_AT + 1 :])
        return tried if self.is_proved(tried) else None

    def _without_lease(self, row: Row) -> Row | None:
        """The row of a finished block without a lease, if that is proved."""
        tried = (*row[:_LEASE_AT], None, *row[_LEASE_AT + 1 :])
        return tried if row[STATE_AT] != "open" and self.is_proved(tried) else None

    def _restore_entries(self) -> bool:
        suspects = self.suspects()
        for entry in suspects:
            taken = {other[SEQUENCE] for other in self.entries if other is not entry}

            def fits(tried: Row, taken: set[int] = taken) -> bool:
                return tried[SEQUENCE] not in taken and tried[SEQUENCE] > self.first and self.fits(tried)

            again = restored(entry, range(SEQUENCE, CHECKSUM + 1), fits)
            if again is not None:
                self.put("changes", entry, again)
                # Kept only where less is wrong than before: a checksum of 32 bits may fit by chance, and at the cost of
                # another entry.
                if len(self.suspects()) < len(suspects):
                    return True
                self.entries = [entry if one is again else one for one in self.entries]
                self.changes.pop()
                self._index()
        return False

    def chain(self) -> list[Row]:
        """Has each entry that replaces another say what that is; those that were put right for it.

        Where it says something else, the entry that was replaced is tried with one bit turned.
        """
        right = []
        for entries in self._by_subject().values():
            for place in range(1, len(entries)):
                before, entry = entries[place - 1], entries[place]
                own, said = checksums.halves(entry[CHECKSUM])
                if checksums.of_replaced(before[SEQUENCE], before[CHECKSUM]) == said:
                    continue
                fits = partial(_is_replaced, said)
                again = restored(before, (CHECKSUM,), fits)
                old, new = (before, again) if again is not None else (entry, _replacing(own, before, entry))
                entries[place - 1 if again is not None else place] = new
                self.put("changes", old, new)
                right.append(new)
        return right

    def _by_subject(self) -> dict[Any, list[Row]]:
        """The entries about each block and each run that is there, in order."""
        found: dict[Any, list[Row]] = {}
        for entry in self.entries:
            about = ("block", entry[INDEX]) if entry[INDEX] is not None else ("run", entry[TEXT])
            there = about[1] in (self.runs if entry[INDEX] is None else self.blocks)
            if there and entry[TYPE] != TEXT_APPENDED:
                found.setdefault(about, []).append(entry)
        return found

    def suspects(self) -> list[Row]:
        """Entries that do not fit, and those that a row does not fit."""
        unproved = [self.last.get(row[1]) for row in self.blocks.values() if not self.is_proved(row)]
        unproved += [self.last_of_run.get(row[1]) for row in self.runs.values() if not self.is_run_proved(row)]
        chosen = {id(entry) for entry in unproved}
        return [entry for entry in self.entries if id(entry) in chosen or not self.fits(entry) or self.is_far(entry)]

    def is_far(self, entry: Row) -> bool:
        """Whether an entry's number is before the start, or behind the end and not next to any other."""
        number = entry[SEQUENCE]
        if entry[TYPE] == RUN_STARTED and entry[TEXT] in self.runs:
            return bool(number != self.runs[entry[TEXT]][RUN_SEQUENCE_AT])
        if number <= self._head or self.is_sealed(entry):
            return bool(number <= self.first)
        return number - 1 not in {other[SEQUENCE] for other in self.entries} | {self.first}

    def free_numbers(self) -> list[int]:
        """Numbers of the log that no entry has, and compaction does not explain."""
        log = LogReader(self.history_id, lambda *_: None)
        log.position = self.first
        for entry in self.entries:
            if entry[SEQUENCE] > self.first:  # before it are the starts of runs that are still there
                log.take(entry[:6])
        if (lost := sum(last + 1 - first for first, last in log.gaps)) > MOST_LOST:
            raise StorageError(f"{lost:,} entries of its log are lost, too many to stand for; restore a backup")
        return [number for first, last in log.gaps for number in range(first, last + 1)]

    def next_number(self) -> int:
        """The number of the next entry."""
        return max([entry[SEQUENCE] for entry in self.entries], default=self.first) + 1

    def entries_of(self, index: int, type: int) -> list[Row]:
        """The entries of one type about a block."""
        return [entry for entry in self.entries if entry[INDEX] == index and entry[TYPE] == type]


def _is_free(rows: dict[Any, Row], row: Row, tried: Row) -> bool:
    return tried[1] == row[1] or tried[1] not in rows


def _of_block(entry: Row, row: Row) -> int | None:
    return checked(checksums.of_block, entry[SEQUENCE], entry[TYPE], row)


def _of_run(entry: Row, row: Row) -> int | None:
    return checked(checksums.of_run, entry[SEQUENCE], entry[TYPE], row)


def _replacing(own: int, before: Row, entry: Row) -> Row:
    checksum = checksums.replacing(own, before[SEQUENCE], before[CHECKSUM])
    return (*entry[:CHECKSUM], checksum, *entry[CHECKSUM + 1 :])


def _is_replaced(said: int, tried: Row) -> bool:
    return checksums.of_replaced(tried[SEQUENCE], tried[CHECKSUM]) == said


def _is_sealed_by(own: int | None, entry: Row) -> bool:
    whole = entry[CHECKSUM]
    return bool(own == (checksums.halves(whole)[0] if entry[TYPE] in _REPLACING else whole))


def _about(entry: Row) -> Any:
    return entry[INDEX] if entry[INDEX] is not None else entry[TEXT]
