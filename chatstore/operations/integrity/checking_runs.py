"""The runs of one history, against its log: each has a start there and, once it is over, an end."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select

from chatstore.operations import checksums
from chatstore.operations.checksums import checked
from chatstore.operations.histories import History
from chatstore.operations.integrity.checking_beside import has_its_lease
from chatstore.operations.integrity.checking_log import LastEntry, LogReader, Tell, entry_at
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import RUN_COLUMNS
from chatstore.schema import RUN_ENDED, RUN_STARTED, runs

PAGE: Final = 500
"""Runs read in one snapshot."""

_STATE_AT, _SEQUENCE_AT, _LEASE_AT = (RUN_COLUMNS.index(runs.c[name]) for name in ("state", "sequence", "lease_id"))

_RUNS = Prepared(
    select(*RUN_COLUMNS)
    .where(runs.c.history_id == bindparam("history_id"))
    .order_by(runs.c.id)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_RUN = Prepared(
    select(*RUN_COLUMNS).where(runs.c.history_id == bindparam("history_id"), runs.c.id == bindparam("run_id"))
)


class Runs:
    """Compares the rows of the runs of one history with what its log, read before, says of them."""

    def __init__(self, history_id: int, log: LogReader, tell: Tell) -> None:
        self._id = history_id
        self._log = log
        self._tell = tell
        self._seen: set[str] = set()

    def page(self, conn: Connection, history: History, offset: int) -> int:
        """Looks at a page of rows from an offset on; how many there were."""
        rows = _RUNS.all(conn, history_id=self._id, limit=PAGE, offset=offset)
        for row in rows:
            self._seen.add(row[1])
            self._check(conn, history, row)
        return len(rows)

    def tell_lost(self, conn: Connection, history: History) -> None:
        """Tells of runs that are in the log, and were on no page."""
        for run_id, entry in self._log.runs.items():
            if run_id in self._seen or entry.sequence <= history.first:
                continue
            if (row := _RUN.first(conn, history_id=self._id, run_id=run_id)) is not None:  # it began meanwhile
                self._check(conn, history, row)
                continue
            stored = entry_at(conn, self._id, entry.sequence)
            left = checked(checksums.of_left, entry.sequence, entry.type, run_id)
            if entry.type != RUN_ENDED or stored is None or stored[3] != left:
                self._tell(None, "runs", f"run {run_id!a} is in the log and nowhere else")

    def _check(self, conn: Connection, history: History, row: Row) -> None:
        if (problem := self._problem(conn, history, row)) is not None:
            self._tell(None, "runs", f"run {row[1]!a} {problem}")

    def _problem(self, conn: Connection, history: History, row: Row) -> str | None:
        sequence = row[_SEQUENCE_AT]
        start = entry_at(conn, self._id, sequence)
        if start is None or (start[0], start[2]) != (RUN_STARTED, row[1]):
            return "is not started in the log"
        entry = self._log.runs.get(row[1])
        if entry is None and sequence <= history.first:  # the start stays while the run does
            entry = LastEntry(sequence, RUN_STARTED, start[3], sequence)
        if entry is None:
            return "is not in the log"
        own, replaced = checksums.halves(entry.checksum)
        if checked(checksums.of_run, entry.sequence, entry.type, row) != own:
            return f"is not what entry {entry.sequence} of the log says it was"
        if entry.type == RUN_ENDED and replaced != checksums.of_replaced(sequence, start[3]):
            return f"has another start than entry {entry.sequence} of the log replaced"
        running = row[_STATE_AT] == "running"
        if running != (entry.type == RUN_STARTED) or entry.first not in (0, sequence):
            return "does not fit its entries in the log"
        return None if has_its_lease(conn, running, row[_LEASE_AT]) else "has the wrong lease"
