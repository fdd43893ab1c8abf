"""Repair of a store: a backup first, then one transaction for each history that is damaged.

What is changed or removed is kept, as it was found, in a file of JSON Lines beside the store: a row a line, bytes in
hexadecimal, and text that is no UTF-8 with lone surrogates for what cannot be read, as Python's `surrogateescape`
has them.
"""

from __future__ import annotations

import glob
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection

from chatstore.databases import Location, locate, locate_file, open_file
from chatstore.databases.backup import Progress, backup, sync_directory
from chatstore.databases.inspecting import Inspector, check, own_findings
from chatstore.databases.sqlite import SqliteDatabase, run
from chatstore.errors import StorageError, StoreDamaged
from chatstore.model import Model
from chatstore.operations.integrity import repairing_bytes, repairing_own, repairing_store
from chatstore.operations.integrity.checking import CheckReport, StoreCheck
from chatstore.operations.integrity.checking_history import UNREADABLE, HistoryCheck
from chatstore.operations.integrity.repairing import HistoryRepair

_LOSS: Final = re.compile("marked as damaged|are lost|could not be (?:proved|repaired)")


class RepairReport(Model):
    """What a repair did. `backup` and `aside`: where the store as it was, and the rows that were damaged, are now; None
    where there was nothing to repair, or to set aside. `after`: what is still wrong."""

    backup: str | None
    aside: str | None
    done: tuple[str, ...]
    after: CheckReport

    @property
    def lost(self) -> tuple[str, ...]:
        """What of `done` could not be restored."""
        return tuple(line for line in self.done if _LOSS.search(line))


class _Aside:
    """The file for damaged rows, made with the first; every row is on the disk before its repair is committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used = False
        self._file: IO[str] | None = None

    def keep(self, context_id: str | None, table: str, row: dict[str, Any]) -> None:
        if self._file is None:
            # As private as the store itself, from the first byte on.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = open(descriptor, "w", encoding="ascii")  # noqa: SIM115, PTH123 - closed by `close`
            sync_directory(self.path.parent)
            self.used = True
        line = {"context_id": context_id, "table": table, "row": row}
        self._file.write(f"{json.dumps(line, default=bytes.hex)}\n")

    def sync(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def repair_store(location: Location, progress: Progress | None = None) -> RepairReport:
    """Opens a store, which has to be there, and repairs what is damaged in it; others may have it open, too."""
    done: list[str] = []
    try:
        database = open_file(location, "repair", busy_timeout=30)
    except StoreDamaged:  # without its identity it cannot be opened
        with Inspector(locate_file(location, "repair")) as inspector, inspector.transaction() as conn:
            if (row := repairing_store.find_identity(conn)) is None:
                raise
        done.append(f"the store: its identity was put back as it was; found was {row[0]!a}: {row[1]!a}")
        database = open_file(location, "repair", busy_timeout=30)
    try:
        report = _repair_open(database, progress)
        return report.model_copy(update={"done": (*done, *report.done)})
    finally:
        database.close()


def left_by_repairs(location: Location) -> list[Path]:
    """What repairs of a store have put beside its file: the store as it was, and rows that were damaged."""
    path = locate(location)
    if not isinstance(path, Path):
        return []
    made = (f"{glob.escape(path.name)}.{what}" for what in ("before-repair-*", "damaged-*.jsonl"))
    return sorted(file for pattern in made for file in path.parent.glob(pattern))


def _repair_open(database: SqliteDatabase, progress: Progress | None = None) -> RepairReport:
    with Inspector(database.path) as inspector:
        found = StoreCheck(inspector.snapshot, progress)
        report = found.run().with_own(own_findings(inspector))
        if not report.problems:
            return RepairReport(backup=None, aside=None, done=(), after=report)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        kept = database.path.with_name(f"{database.path.name}.before-repair-{stamp}")
        backup(database, kept)
        aside = _Aside(database.path.with_name(f"{database.path.name}.damaged-{stamp}.jsonl"))
        done: list[str] = []
        try:
            _make_indexes(inspector, done)
            for rows in (repairing_own.repair, repairing_store.repair, repairing_store.bring_home):
                _tolerant(done, None, partial(_repair_rows, inspector, rows, aside, done))
            found = StoreCheck(inspector.snapshot)
            found.run()
            for history_id, context_id in found.damaged.items():
                _tolerant(done, context_id, partial(_repair, inspector, history_id, context_id, aside, done))
            _tolerant(done, None, partial(_repair_rows, inspector, repairing_bytes.repair, aside, done))
        finally:
            aside.close()
    path = str(aside.path) if aside.used else None
    return RepairReport(backup=str(kept), aside=path, done=tuple(done), after=check(database, progress))


def _tolerant(done: list[str], context_id: str | None, work: Callable[[], None]) -> None:
    """Leaves a history as it is that cannot be repaired, and goes on with the next."""
    try:
        work()
    except (*UNREADABLE, AssertionError) as error:
        done.append(f"{_named(context_id)} could not be repaired and is as it was: {error}")


def _make_indexes(inspector: Inspector, done: list[str]) -> None:
    """SQLite's own indexes, where it finds them wrong."""
    if not any("index" in finding for finding in own_findings(inspector)):
        return
    try:
        with inspector.transaction() as conn:
            run(conn, "REINDEX")
        done.append("the store: its indexes were made anew")
    except StorageError as error:
        done.append(f"the store: its indexes could not be made anew: {error}")


def _repair(inspector: Inspector, history_id: int, context_id: str | None, aside: _Aside, done: list[str]) -> None:
    said: list[str] = []
    with inspector.transaction() as conn:
        before = _problems(conn, history_id)
        repairs = HistoryRepair(conn, history_id, partial(aside.keep, context_id), partial(_say, said, context_id))
        repairs.run()
        # Judged within the transaction: a repair that helps nothing leaves the history as it was found.
        if (after := _problems(conn, history_id)) and len(after) >= len(before):
            raise StorageError(f"the repair would not have made it better ({after[0]})")
        aside.sync()
    done += said


def _repair_rows(
    inspector: Inspector,
    repair: Callable[[Connection, Callable[..., None], Callable[..., None]], None],
    aside: _Aside,
    done: list[str],
) -> None:
    with inspector.transaction() as conn:
        repair(conn, aside.keep, partial(_say, done))
        aside.sync()


def _problems(conn: Connection, history_id: int) -> list[str]:
    found: list[str] = []
    tell = lambda index, table, what: found.append(f"{index}: {what} ({table})")  # noqa: E731
    try:
        HistoryCheck(lambda: nullcontext(conn), history_id, tell, lambda _: None).run()
    except UNREADABLE as error:
        found.append(str(error))
    return found


def _say(done: list[str], context_id: str | None, index: int | None, what: str) -> None:
    done.append(f"{_named(context_id)}{'' if index is None else f', block {index}'}: {what}")


def _named(context_id: str | None) -> str:
    return "the store" if context_id is None else f"context {context_id!a}"
