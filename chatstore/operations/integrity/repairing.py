"""Repair of one history, within one transaction: what can be proved is put back, the rest is marked as damaged.

Numbers stay gapless, and no sound block is touched:

1. What one turned bit explains is put back, in rows and in the log, if a checksum proves it; so is a text that the
   pieces in the log make. It is then as it was written.
2. A block that cannot be proved is set aside as it was found, and marked: MARKER for its text, no parts, no tags but
   `chatstore:damaged`, no usage. Its place, id, type, role, author, run, parent, data, state and times are kept where
   they can be read. A block whose row is gone is made anew, as a closed one of type `error`. Either is logged as an
   update, so that subscriptions are told.
3. A run that cannot be proved is set aside, and kept without what cannot be read.
4. Entries of the log that fit nothing are set aside. Every number that nothing is left of gets an entry that says that
   the block before it was updated.
5. Counters, kinds, leases, tags, keys and the places of bytes are made anew from the blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, LargeBinary, Table, Text, bindparam, cast, delete, insert, select

from chatstore import ids
from chatstore.kinds import speaker_of, views_of
from chatstore.operations import checksums, histories
from chatstore.operations.integrity import repairing_own, repairing_runs
from chatstore.operations.integrity.repairing_beside import rebuild
from chatstore.operations.integrity.repairing_log import (
    INDEX,
    OFFSET,
    RUN_SEQUENCE_AT,
    SEQUENCE,
    TEXT,
    TYPE,
    Change,
    Rows,
)
from chatstore.operations.integrity.restoring import is_id, is_time, json_or_none, readable
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, RUN_COLUMNS
from chatstore.schema import (
    BLOCK_ADDED,
    BLOCK_CLOSED,
    BLOCK_UPDATED,
    RUN_ENDED,
    RUN_STARTED,
    TEXT_APPENDED,
    blocks,
    changes,
    leases,
    runs,
)

Aside: TypeAlias = Callable[[str, dict[str, Any]], None]
"""Keeps a row of a table, as it was found."""
Said: TypeAlias = Callable[[int | None, str], None]
"""Takes what was done, and to which block if to one."""

MARKER: Final = "[This text was damaged in storage, and could not be restored.]"
DAMAGED: Final = '[{"kind":"chatstore","name":"damaged","value":null}]'

_AT = {column.name: place for place, column in enumerate(BLOCK_COLUMNS)}
_RUN_AT = {column.name: place for place, column in enumerate(RUN_COLUMNS)}
_STATES = frozenset({"open", "closed", "failed", "cancelled", "interrupted"})
_ENTRY_COLUMNS = ("sequence", "type", "block_index", "offset", "text", "checksum", "id")


class HistoryRepair:
    """Repairs one history; `said` is told of everything that is done, `aside` is given what is changed or removed."""

    def __init__(self, conn: Connection, history_id: int, aside: Aside, said: Said) -> None:
        history = histories.by_number(conn, history_id)
        assert history is not None
        self._conn = conn
        self._history = history
        self._aside = aside
        self._said = said
        self._rows = Rows(conn, history)
        self._first_index = history.first_index

    def run(self) -> None:
        """Repairs what can be, and marks the rest."""
        if self._history.erased is not None:
            repairing_own.bury(self._conn, self._history, self._aside, self._said)
            return
        self._rows.restore()
        for change in self._rows.changes:
            self._tell_restored(change)
        self._drop_what_fits_nothing()
        self._replace_unproved()
        repairing_runs.repair(self._rows, self._said)
        self._drop_pieces()
        self._fill_the_log()
        self._set_what_has_no_checksum()
        for entry in self._rows.chain():
            self._said(entry[INDEX], f"entry {entry[SEQUENCE]} of the log has its checksum put right")
        for change in self._rows.changes:
            self._store(change)
        repairing_own.count(self._conn, self._history, self._rows, self._aside, self._said)
        rebuild(self._conn, self._rows, self._history, self._aside, self._said)

    def _tell_restored(self, change: Change) -> None:
        row: Row = change.after or ()
        if change.table == "changes":
            self._said(row[INDEX], f"entry {row[SEQUENCE]} of the log was put back as it was")
        else:
            self._said(*((row[1], "was put back as it was") if change.table == "blocks" else (None, _named(row))))

    def _drop_what_fits_nothing(self) -> None:
        for entry in self._rows.suspects():
            of_kind = isinstance(entry[INDEX], int) and entry[TYPE] in (BLOCK_ADDED, BLOCK_UPDATED, BLOCK_CLOSED)
            added = self._rows.added.get(entry[INDEX], entry) if of_kind else None
            there = of_kind and (entry[INDEX] in self._rows.blocks or (added is entry and entry[INDEX] <= self._most()))
            if not self._rows.is_far(entry) and added is not None and there and entry[SEQUENCE] >= added[SEQUENCE]:
                continue  # it is the block that does not fit
            run = self._rows.runs.get(entry[TEXT]) if entry[INDEX] is None else None
            if run is not None and (entry[TYPE] == RUN_ENDED or self._starts(entry, run)):
                continue
            self._said(None, f"entry {entry[SEQUENCE]} of the log was set aside: it fits nothing")
            self._rows.put("changes", entry, None)

    def _starts(self, entry: Row, run: Row) -> bool:
        return entry[TYPE] == RUN_STARTED and bool(entry[SEQUENCE] == run[RUN_SEQUENCE_AT])

    def _most(self) -> int:
        """An index that no block can have, however many are lost."""
        return len(self._rows.blocks) + len(self._rows.added) + self._first_index

    def _replace_unproved(self) -> None:
        most = self._most()
        for row in [*self._rows.blocks.values()]:
            if not isinstance(row[1], int) or not self._first_index <= row[1] <= most:
                self._said(row[1], "was set aside: there is no such place")
                self._rows.put("blocks", row, None)
        known = [place for place in {*self._rows.blocks, *self._rows.added} if self._first_index <= place <= most]
        end = max(known, default=self._first_index - 1) + 1
        for index in range(self._first_index, end):
            found = self._rows.blocks.get(index)
            if found is None or not self._rows.is_proved(found) or not self._rows.is_whole(found):
                self._mark(index, found)

    def _mark(self, index: int, found: Row | None) -> None:
        """Puts a marked block in the place of one that is lost, and logs it."""
        row = [*(found or _nothing(self._rows.history_id))]
        now = ids.now()
        row[_AT["index"]] = index
        row[_AT["id"]] = self._id_for(index, row[_AT["id"]])
        for name in ("type", "role", "author", "run_id", "data"):
            row[_AT[name]] = readable(row[_AT[name]])
        row[_AT["type"]] = row[_AT["type"]] or "error"
        row[_AT["data"]] = json_or_none(row[_AT["data"]])
        row[_AT["internal"]] = int(bool(row[_AT["internal"]]))
        kind = row[_AT["type"]], row[_AT["role"]], bool(row[_AT["internal"]])
        row[_AT["views"]], row[_AT["speaker"]] = views_of(*kind), speaker_of(*kind)
        row[_AT["parent_id"]] = self._parent_or_none(index, row[_AT["parent_id"]])
        row[_AT["text"]], row[_AT["parts"]], row[_AT["tags"]], row[_AT["usage"]] = MARKER, None, DAMAGED, None
        # Never open: it is under no lease from here on, so nobody would end it.
        if row[_AT["state"]] not in _STATES or row[_AT["state"]] == "open":
            row[_AT["state"]] = "closed" if found is None else "interrupted"
        row[_AT["lease_id"]] = row[_AT["pieces_until"]] = None
        for name in ("created_at", "updated_at"):
            row[_AT[name]] = row[_AT[name]] if is_time(row[_AT[name]], now) else now
        added = self._rows.added.get(index)
        row[_AT["sequence"]] = self._number_for(index, row[_AT["sequence"]]) if added is None else added[SEQUENCE]
        self._rows.put("blocks", found, tuple(row))
        if added is None:
            self._log(row[_AT["sequence"]], BLOCK_ADDED, index)
        # What had grown ends: that explains why its pieces are not there any more.
        grew = self._rows.entries_of(index, TEXT_APPENDED) and not self._rows.entries_of(index, BLOCK_CLOSED)
        self._log(self._rows.next_number(), BLOCK_CLOSED if grew else BLOCK_UPDATED, index)
        self._said(index, "is marked as damaged" if found else "was lost, and is marked as damaged")

    def _number_for(self, index: int, claimed: Any) -> int:
        """A number of the log at which a block may be added: its own, if that is free, or one that is."""
        free = self._rows.free_numbers()
        before = self._rows.added.get(index - 1)
        later = (number for number in free if before is None or number > before[SEQUENCE])
        return int(claimed) if claimed in free else next(later, self._rows.next_number())

    def _id_for(self, index: int, claimed: Any) -> bytes:
        """The id of a block: its own, that by which others call it their parent, or a new one."""
        called = (row[_AT["parent_id"]] for row in self._rows.blocks.values())
        known = (id for id in (claimed, *called) if is_id(id) and ids.index_of(id) == index)
        return next(known, None) or ids.block_id(ids.now(), index)

    def _log(self, sequence: int, type: int, index: int) -> None:
        checksum = checksums.of_block(sequence, type, self._rows.blocks[index])
        self._rows.put("changes", None, (sequence, type, index, None, None, checksum, None))

    def _parent_or_none(self, index: int, parent: Any) -> bytes | None:
        if not is_id(parent):
            return None
        row = self._rows.blocks.get(ids.index_of(parent))
        return parent if row is not None and row[_AT["index"]] < index and row[_AT["id"]] == parent else None

    def _drop_pieces(self) -> None:
        """Sets aside the pieces of finished blocks that are not in their text, or come after their end."""
        for row in [*self._rows.blocks.values()]:
            pieces = self._rows.entries_of(row[1], TEXT_APPENDED)
            if row[_AT["state"]] == "open" or not pieces:
                continue
            closed = self._rows.entries_of(row[1], BLOCK_CLOSED)
            text = "".join(piece[TEXT] for piece in pieces)
            until = closed[0][SEQUENCE] if closed else 0
            if not row[_AT["text"]].startswith(text, pieces[0][OFFSET]) or pieces[-1][SEQUENCE] > until:
                for piece in pieces:
                    self._rows.put("changes", piece, None)
                self._said(row[1], "has its whole text, and pieces that do not make it were set aside")

    def _fill_the_log(self) -> None:
        for number in self._rows.free_numbers():
            before = [entry for entry in self._rows.added.values() if entry[SEQUENCE] < number]
            if not before:
                self._rows.first = max(number, self._rows.first)  # as if retention had removed it
                continue
            newest = max(before, key=lambda entry: entry[SEQUENCE])
            self._log(number, BLOCK_UPDATED, newest[INDEX])
            self._said(newest[INDEX], f"stands for entry {number} of the log, which was lost")

    def _set_what_has_no_checksum(self) -> None:
        for row in [*self._rows.blocks.values()]:
            index, is_open = row[1], row[_AT["state"]] == "open"
            kind = row[_AT["type"]], row[_AT["role"]], bool(row[_AT["internal"]])
            right = [*row]
            right[_AT["views"]], right[_AT["speaker"]] = views_of(*kind), speaker_of(*kind)
            closed = self._rows.entries_of(index, BLOCK_CLOSED)
            grew = closed and self._rows.entries_of(index, TEXT_APPENDED)
            right[_AT["pieces_until"]] = closed[0][SEQUENCE] - 1 if grew and row[_AT["pieces_until"]] else None
            if tuple(right) != row:
                self._rows.put("blocks", row, tuple(right))
                self._said(index, "has its kinds and the end of its pieces made anew")
            if is_open:
                self._hold(row[_AT["lease_id"]])
        for row in [*self._rows.runs.values()]:
            if row[_RUN_AT["state"]] == "running":
                self._hold(row[_RUN_AT["lease_id"]])

    def _hold(self, lease: int) -> None:
        """Makes a lease that is gone anew, as one that has run out: what is open under it is interrupted."""
        if (lease,) not in _LEASES.all(self._conn):
            own = checksums.numbered(checksums.of_lease("", 0, 0, 0), lease)
            _ADD_LEASE.many(self._conn, [(lease, "", 0, 0, 0, 0, own)])
            self._said(None, f"lease {lease} is made anew, and has run out")

    def _store(self, change: Change) -> None:
        remove, add, columns = _STATEMENTS[change.table]
        if change.before is not None:
            row = dict(zip(columns, change.before, strict=True))
            self._aside(change.table, {"history_id": self._rows.history_id, **row})
            remove.run(self._conn, history=self._rows.history_id, key=_key(change.table, row))
        if change.after is not None:
            values = dict(zip(columns, change.after, strict=True)) | {"history_id": self._rows.history_id}
            add.run(self._conn, **values)


_LEASES = Prepared(select(leases.c.id))
_ADD_LEASE = Prepared(insert(leases))


def _statements(table: Table, key: str, names: tuple[str, ...]) -> tuple[Prepared, Prepared, tuple[str, ...]]:
    chosen = table.c[key] == (cast(bindparam("key", type_=LargeBinary), Text) if table is runs else bindparam("key"))
    remove = delete(table).where(table.c.history_id == bindparam("history"), chosen)
    values: dict[str, Any] = {name: bindparam(name) for name in {"history_id", *names}}
    return Prepared(remove), Prepared(insert(table).values(values)), names


_STATEMENTS = {
    "blocks": _statements(blocks, "index", tuple(_AT)),
    "changes": _statements(changes, "id", _ENTRY_COLUMNS),
    "runs": _statements(runs, "id", tuple(_RUN_AT)),
}


def _key(table: str, row: dict[str, Any]) -> Any:
    if table == "runs":  # the damaged name of a run may be no text that could be bound
        return str(row["id"]).encode(errors="surrogateescape")
    return row["index" if table == "blocks" else "id"]


def _nothing(history_id: int) -> Row:
    return (history_id, *(None,) * (len(BLOCK_COLUMNS) - 1))


def _named(row: Row) -> str:
    return f"run {row[1]!a} was put back as it was"
