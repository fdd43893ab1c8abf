"""A check of the whole store: every history, the bytes of parts, and rows that belong to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, bindparam, func, literal, select

from chatstore.model import Model
from chatstore.operations import histories
from chatstore.operations.integrity import checking_own, checking_store
from chatstore.operations.integrity.checking_history import UNREADABLE, HistoryCheck, Snapshots
from chatstore.operations.prepared import Prepared
from chatstore.schema import (
    append_keys,
    blobs,
    block_blobs,
    blocks,
    changes,
    runs,
    tags,
)
from chatstore.schema import histories as histories_table

PAGE: Final = 500
"""Histories, or digests, listed in one snapshot."""


class Problem(Model):
    """Something that is not as it was written: in which context, and at which block where it is about one.

    `table` is where it lies in the database, and `what` is for people to read.
    """

    context_id: str | None
    index: int | None
    table: str
    what: str

    def __str__(self) -> str:
        context = "the store" if self.context_id is None else f"context {self.context_id!a}"
        place = "" if self.index is None else f", block {self.index}"
        return f"{context}{place}: {self.what} ({self.table})"


class CheckReport(Model):
    """What a check looked at, and all that it found wrong."""

    histories: int
    blocks: int
    changes: int
    problems: tuple[Problem, ...]

    def with_own(self, findings: Iterable[str]) -> CheckReport:
        """The same, with what the database itself found."""
        own = (Problem(context_id=None, index=None, table="the file", what=what) for what in findings)
        return self.model_copy(update={"problems": (*self.problems, *own)})


_OF_HISTORIES = (changes, blocks, runs, tags, append_keys, block_blobs)
_STRAY = [
    Prepared(
        select(table.c.history_id, table.c.get("index", table.c.get("block_index", literal(None))))
        .where(table.c.history_id > bindparam("after"), table.c.history_id < bindparam("before"))
        .limit(1)
    )
    for table in _OF_HISTORIES
]
_NEXT = Prepared(
    select(histories_table.c.id, histories_table.c.context_id)
    .where(histories_table.c.id > bindparam("after"))
    .order_by(histories_table.c.id)
    .limit(bindparam("limit"))
)
_ALL_BLOCKS = Prepared(select(func.coalesce(func.sum(histories_table.c.count), 0)))
_DIGESTS = Prepared(
    select(blobs.c.digest).where(blobs.c.digest > bindparam("after")).order_by(blobs.c.digest).limit(bindparam("limit"))
)
_CONTENT = Prepared(select(blobs.c.content).where(blobs.c.digest == bindparam("digest")))
_HELD_BY = Prepared(
    select(histories_table.c.context_id, block_blobs.c.block_index)
    .join(histories_table, histories_table.c.id == block_blobs.c.history_id)
    .where(block_blobs.c.digest == bindparam("digest"))
)


class StoreCheck:
    """Checks a store; `progress(done, total)` is told blocks."""

    def __init__(self, snapshots: Snapshots, progress: Callable[[int, int], None] | None = None) -> None:
        self._snapshots = snapshots
        self._progress = progress
        self._problems: dict[Problem, None] = {}
        self.damaged: dict[int, str | None] = {}
        """Histories in which something is wrong, by their numbers: the context ids."""
        self._histories = self._blocks = self._changes = self._done = self._total = 0

    def run(self) -> CheckReport:
        """Looks at everything."""
        self._tolerant(self._count)
        self._tolerant(self._check_histories)
        for table, page in checking_store.parts():
            self._tolerant(partial(self._check_beside, page), table=table)
        self._tolerant(self._check_bytes)
        return CheckReport(
            histories=self._histories, blocks=self._blocks, changes=self._changes, problems=tuple(self._problems)
        )

    def tell(self, context_id: str | None, index: int | None, table: str, what: str) -> None:
        """Takes a problem; one that is found twice counts once."""
        if context_id is not None:
            context_id = context_id.encode(errors="surrogateescape").decode(errors="replace")
        self._problems[Problem(context_id=context_id, index=index, table=table, what=what)] = None

    def _tolerant(self, work: Callable[[], None], context_id: str | None = None, table: str = "histories") -> None:
        try:
            work()
        except UNREADABLE as error:
            self.tell(context_id, None, table, f"what is stored cannot be read: {error}")

    def _count(self) -> None:
        with self._snapshots() as conn:
            [(total,)] = _ALL_BLOCKS.all(conn)
        self._total = int(total)

    def _tell_done(self, blocks: int) -> None:
        self._done += blocks
        self._total = max(self._total, self._done)  # what was written meanwhile is looked at, too
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _check_histories(self) -> None:
        # From the least number there is: a turned bit may have made an id negative.
        after, rows = -(2**63), [(0, "")]
        while rows:
            with self._snapshots() as conn:
                rows = _NEXT.all(conn, after=after, limit=PAGE)
                self._check_strays(conn, after, [row[0] for row in rows])
            for history_id, context_id in rows:
                self._tolerant(partial(self._check_history, history_id, context_id), context_id)
                after = history_id

    def _check_history(self, history_id: int, context_id: str) -> None:
        self._histories += 1
        before = len(self._problems)
        with self._snapshots() as conn:
            history = histories.by_number(conn, history_id)
        if history is not None:
            context_id = checking_own.name_of(history)
        check = HistoryCheck(self._snapshots, history_id, partial(self.tell, context_id), self._tell_done)
        try:
            check.run()
        finally:
            self._blocks += check.blocks
            self._changes += check.log.entries
            if len(self._problems) > before:
                self.damaged[history_id] = context_id

    def _check_strays(self, conn: Connection, after: int, known: list[int]) -> None:
        """Rows of histories that are not there."""
        last = 2**63 - 1
        for start, end in zip([after, *known], [*known, last] if len(known) < PAGE else known, strict=False):
            for table, stray in zip(_OF_HISTORIES, _STRAY, strict=True):
                if (row := stray.first(conn, after=start, before=end)) is not None:
                    history_id, index = row
                    about = index if isinstance(index, int) and index >= 0 else None
                    meant = checking_store.neighbours(conn, history_id)
                    context_id = meant[0][1] if len(meant) == 1 else None
                    self.tell(context_id, about, table.name, f"rows belong to history {history_id}, which is not there")

    def _check_beside(self, page: checking_store.Page) -> None:
        offset, count = 0, 1
        while count:
            with self._snapshots() as conn:
                count = page(conn, self._found, offset, PAGE)
            offset += count

    def _found(self, history_id: int | None, context_id: str | None, table: str, what: str) -> None:
        self.tell(context_id, None, table, what)
        if history_id is not None:
            self.damaged[history_id] = context_id

    def _check_bytes(self) -> None:
        after, rows = b"", [(b"",)]
        while rows:
            with self._snapshots() as conn:
                rows = _DIGESTS.all(conn, after=after, limit=PAGE)
            for (digest,) in rows:
                self._tolerant(partial(self._check_content, digest))
                after = digest

    def _check_content(self, digest: bytes) -> None:
        with self._snapshots() as conn:
            row = _CONTENT.first(conn, digest=digest)
            if row is None or (found := sha256(row[0]).digest()) == digest:
                return
            held = _HELD_BY.all(conn, digest=digest) or _HELD_BY.all(conn, digest=found) or [(None, None)]
        for context_id, index in held:
            self.tell(context_id, index, "blobs", f"the bytes kept as {digest.hex()} are not those")
