"""Copying a whole store: from a file to a server, back, or between two of a kind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, func, select

from chatstore.databases import Location, Place, locate, open_database
from chatstore.databases.inspectors import inspector
from chatstore.databases.targets import Target, open_target
from chatstore.errors import InvalidInput, UsageError
from chatstore.model import Model
from chatstore.operations.copying import finishing, histories, origins
from chatstore.operations.copying.rows import digest
from chatstore.operations.prepared import Prepared, Row
from chatstore.schema import blocks, is_open, is_running, runs

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many blocks are copied, of how many."""

_OPEN = Prepared(
    select(
        select(func.count()).select_from(blocks).where(is_open).scalar_subquery(),
        select(func.count()).select_from(runs).where(is_running).scalar_subquery(),
    )
)


class CopyReport(Model):
    """What a copy holds. `resumed`: contexts that were there from an attempt before; `interrupted`: runs and blocks
    that were open, and are ended in the copy; `places_kept`: whether places in the whole store's log are the same."""

    source: str
    target: str
    identity: str
    contexts: int
    erased: int
    blocks: int
    changes: int
    runs: int
    blobs: int
    resumed: int
    interrupted: int
    places_kept: bool


def copy(
    source: Location, target: Location, *, as_interrupted: bool = False, progress: Progress | None = None
) -> CopyReport:
    """Copies a store, as it is at the moment of the call, to another place: a file that is not there yet, or a database
    in which `chatstore migrate` has made a store that is empty still.

    Everything comes with it, under the same ids, numbers and times; what is read is verified by the checksums of the
    log, and what is written by reading it again. Others may write to the source meanwhile: what came after the call is
    not in the copy. Runs and blocks that are open would have nobody who ends them there: they raise UsageError, or,
    `as_interrupted`, are ended as `interrupted` in the copy. A copy that was stopped goes on when it is called again.
    The copy has an identity of its own; a cursor of the source raises CursorExpired there, with where to go on.
    """
    old, new = locate(source), locate(target)
    if old == new:
        raise InvalidInput(f"{new} is the store itself; name another place for the copy")
    # It is open meanwhile, so that nobody in this process or another takes its log away.
    opened = closing(open_database(old, create=False, busy_timeout=30))
    with opened, inspector(old) as looking, looking.snapshot() as conn:
        if not as_interrupted:
            _check_ended(conn, old)
        with closing(open_target(new)) as making:
            # Looking at rows one by one is quick in a file, and each takes an answer from a server.
            check_copy = isinstance(new, Path) and not isinstance(old, Path)
            return _Copy(conn, making, progress, check_copy=check_copy).run(str(old), str(new))


def _check_ended(conn: Connection, place: Place) -> None:
    [(open_blocks, open_runs)] = _OPEN.all(conn)
    if open_blocks or open_runs:
        raise UsageError(
            f"{place} has {open_runs:,} runs and {open_blocks:,} blocks that are not ended, and nobody would end them"
            " in a copy; wait for them or cancel them, or have them copied as interrupted"
        )


class _Copy:
    """One attempt: a snapshot of the source, and the target as it was left."""

    def __init__(self, source: Connection, target: Target, progress: Progress | None, *, check_copy: bool) -> None:
        self._source = source
        self._check_copy = check_copy
        self._target = target
        self._progress = progress
        self._done = self._total = self._histories = self._erased = 0
        self._whole: set[int] = set()

    def run(self, source: str, target: str) -> CopyReport:
        """Copies what is not there yet, and says what is there then."""
        self._copy(self._begin())
        with self._target.transaction() as conn:
            kept, (entries, runs, blobs), interrupted = self._finish(conn)
        self._target.publish()
        return CopyReport(
            source=source,
            target=target,
            identity=self._target.identity,
            contexts=self._histories - self._erased,
            erased=self._erased,
            blocks=self._total,
            changes=entries,
            runs=runs,
            blobs=blobs,
            resumed=len(self._whole),
            interrupted=interrupted,
            places_kept=kept,
        )

    def _copy(self, copied: dict[int, bytes]) -> None:
        """Copies the histories that are not there as they are now."""
        self._tell(self._survey(copied))
        self._remove([history for history in copied if history not in self._whole])
        for unit in histories.units(histories.every(self._source), self._whole):
            with self._target.transaction() as conn:
                histories.copy(self._source, conn, unit, check_copy=self._check_copy)
            self._tell(sum(map(histories.blocks_of, unit)))

    def _survey(self, copied: dict[int, bytes]) -> int:
        """Counts what there is to copy; how many blocks are copied already."""
        there = 0
        for row in histories.every(self._source):
            self._histories += 1
            self._erased += histories.is_erased(row)
            self._total += histories.blocks_of(row)
            if copied.get(row[0]) == digest(row):
                self._whole.add(row[0])
                there += histories.blocks_of(row)
        return there

    def _tell(self, blocks: int) -> None:
        self._done += blocks
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _begin(self) -> dict[int, bytes]:
        """Marks the target as a copy of the source; digests of the histories that are there from before."""
        identity = origins.info(self._source, "identity")
        with self._target.transaction() as conn:
            copied = {row[0]: digest(row) for row in histories.every(conn)}
            before = origins.info(conn, origins.COPYING)
            if before is None and copied:
                raise InvalidInput("the store at the target is not empty; make a new one for the copy")
            if before not in (None, identity):
                left = self._target.unfinished
                raise InvalidInput(f"there is a copy of another store, not whole yet; finish it, or remove {left}")
            origins.set_info(conn, origins.COPYING, identity)
            finishing.copy_leases(self._source, conn)
        return copied

    def _remove(self, changed: list[int]) -> None:
        """Removes what has changed in the source since it was copied."""
        for history in changed:
            with self._target.transaction() as conn:
                histories.remove(conn, history)

    def _finish(self, conn: Connection) -> tuple[bool, Row, int]:
        """Makes a store of the copy: whether its log kept its places, what it holds, and how much it had to end."""
        histories.drop_unused_bytes(conn)
        finishing.compare(self._source, conn)
        counts = finishing.counts(conn)
        kept = finishing.remember(self._source, conn, self._target.settle)
        interrupted = finishing.interrupt(conn, self._target.identity)
        origins.set_info(conn, origins.COPYING, None)
        return kept, counts, interrupted
