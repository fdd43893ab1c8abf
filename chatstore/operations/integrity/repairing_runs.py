"""Repair of the runs of a history: each has a row, a start in the log and, once it is over, an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from chatstore import ids
from chatstore.operations import checksums
from chatstore.operations.integrity.repairing_log import CHECKSUM, ID, SEQUENCE, TEXT, TYPE, Rows
from chatstore.operations.integrity.restoring import is_time, json_or_none, readable
from chatstore.operations.prepared import Row
from chatstore.operations.rows import RUN_COLUMNS
from chatstore.schema import RUN_ENDED, RUN_STARTED

Said: TypeAlias = Callable[[int | None, str], None]

_AT = {column.name: place for place, column in enumerate(RUN_COLUMNS)}
_STATES: Final = frozenset({"running", "completed", "failed", "cancelled", "interrupted"})


def repair(rows: Rows, said: Said) -> None:
    """Keeps what can be read of runs that cannot be proved, and gives back a start to those that have lost it."""
    for row in [*rows.runs.values()]:
        if readable(row[1]) is None:
            rows.put("runs", row, None)
        elif not rows.is_run_proved(row):
            _keep(rows, row[1], row, said)
    for run_id, entry in [*rows.last_of_run.items()]:
        if run_id not in rows.runs and not rows.is_left(entry):
            _keep(rows, run_id, None, said)
    for row in [*rows.runs.values()]:
        if not any(entry[SEQUENCE] == row[_AT["sequence"]] for entry in _starts(rows, row[1])):
            _log(rows, row[_AT["sequence"]], RUN_STARTED, _as_it_began(row))
            said(None, f"run {row[1]!a} has its start in the log made anew")


def _starts(rows: Rows, run_id: str) -> list[Row]:
    return [entry for entry in rows.entries if entry[TYPE] == RUN_STARTED and entry[TEXT] == run_id]


def _keep(rows: Rows, run_id: str, found: Row | None, said: Said) -> None:
    """Keeps what can be read of a run, and has the log say so."""
    entry = rows.last_of_run.get(run_id)
    is_over = entry is not None and entry[TYPE] == RUN_ENDED
    row = [*(found or (rows.history_id, run_id, *(None,) * (len(RUN_COLUMNS) - 2)))]
    _make_readable(row)
    # Without a lease nobody would ever find its process dead, and it would run for ever.
    cannot_go_on = is_over or row[_AT["lease_id"]] is None
    if row[_AT["state"]] not in _STATES or (row[_AT["state"]] == "running" and cannot_go_on):
        row[_AT["state"]] = "interrupted"
    runs_on = row[_AT["state"]] == "running"
    _make_times(row, runs_on=runs_on)
    starts = _starts(rows, run_id)
    row[_AT["sequence"]] = starts[0][SEQUENCE] if starts else _number_for(rows, row[_AT["sequence"]], entry)
    rows.put("runs", found, tuple(row))
    if entry is not None and (is_over or runs_on):
        sealed = checksums.of_run(entry[SEQUENCE], entry[TYPE], tuple(row))
        rows.put("changes", entry, (*entry[:CHECKSUM], sealed, entry[ID]))
    elif not runs_on:
        if not starts:
            _log(rows, row[_AT["sequence"]], RUN_STARTED, _as_it_began(tuple(row)))
        _log(rows, rows.next_number(), RUN_ENDED, tuple(row))
    said(None, f"run {run_id!a} could not be proved, and is kept as far as it can be read")


def _make_readable(row: list[Any]) -> None:
    for name in ("parent_run_id", "traceback"):
        row[_AT[name]] = readable(row[_AT[name]])
    for name in ("error", "usage"):
        row[_AT[name]] = json_or_none(row[_AT[name]])


def _make_times(row: list[Any], *, runs_on: bool) -> None:
    now = ids.now()
    started, ended = row[_AT["started_at"]], row[_AT["ended_at"]]
    row[_AT["started_at"]] = started if is_time(started, now) else now
    row[_AT["ended_at"]] = None if runs_on else ended if is_time(ended, now) else now
    if not runs_on:
        row[_AT["lease_id"]] = None


def _number_for(rows: Rows, claimed: Any, end: Row | None) -> int:
    """A number of the log for the start of a run: its own, if that is free, or one that is before its end."""
    free = rows.free_numbers()
    if claimed in free or (isinstance(claimed, int) and 0 < claimed <= rows.first):
        return int(claimed)
    return next((number for number in free if end is None or number < end[SEQUENCE]), rows.next_number())


def _as_it_began(row: Row) -> Row:
    """A run's row as it was when it started, but for its lease."""
    if row[_AT["state"]] == "running":
        return row
    return (*row[: _AT["state"]], "running", None, None, None, row[_AT["started_at"]], None, *row[_AT["sequence"] :])


def _log(rows: Rows, sequence: int, type: int, row: Row) -> None:
    checksum = checksums.of_run(sequence, type, row)
    rows.put("changes", None, (sequence, type, None, None, row[1], checksum, None))
