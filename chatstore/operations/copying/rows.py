"""The rows of a table, read in pages from one store, put into another as they are, and compared there.

Two databases order text by rules of their own. So what was read and what was put is compared by a sum of digests, in
which the order of the rows makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import blake2b
from typing import Final

from sqlalchemy import Boolean, Connection, Table, bindparam, delete, insert, select, tuple_

from chatstore.operations.prepared import Prepared, Row
from chatstore.schema import append_keys, block_blobs, blocks, changes, runs, tags

PAGE: Final = 1_000
"""Rows in one statement."""
_SIZE: Final = 16


def digest(row: Row) -> bytes:
    """What is the same for equal rows alone."""
    return blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=_SIZE).digest()


class Sum:
    """How many rows there were, and the sum of their digests."""

    def __init__(self) -> None:
        self.rows: int = 0
        self._digests = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.rows, self._digests) == (other.rows, other._digests)

    def add(self, rows: Iterable[Row]) -> None:
        """Counts rows in, in any order."""
        for row in rows:
            self._digests = (self._digests + int.from_bytes(digest(row))) % (1 << 8 * _SIZE)
            self.rows += 1


class Rows:
    """The rows that a table has of some histories, by its key, which begins with the history."""

    def __init__(self, table: Table, *key: str) -> None:
        self.table = table
        self._at = [list(table.c).index(table.c[name]) for name in key]
        self._truths = {place for place, column in enumerate(table.c) if isinstance(column.type, Boolean)}
        columns = [table.c[name] for name in key]
        binds = [bindparam(f"after_{name}", type_=table.c[name].type) for name in key]
        page = select(*table.c).where(columns[0] >= bindparam("first"), columns[0] <= bindparam("last"))
        page = page.order_by(*columns).limit(PAGE)
        self._names = [f"after_{name}" for name in key]
        self._first = Prepared(page)
        self._next = Prepared(page.where(tuple_(*columns) > tuple_(*binds)))
        self._delete = Prepared(delete(table).where(columns[0] == bindparam("history")))

    @cached_property
    def _insert(self) -> Prepared:
        return Prepared(insert(self.table).values({column.name: bindparam(column.name) for column in self.table.c}))

    def pages(self, conn: Connection, first: int, last: int) -> Iterator[list[Row]]:
        """The rows of the histories from `first` to `last`, page by page."""
        rows = self._first.all(conn, first=first, last=last)
        while rows:
            yield [self._plain(row) for row in rows] if self._truths else [tuple(row) for row in rows]
            if len(rows) < PAGE:
                return
            after = {name: rows[-1][place] for name, place in zip(self._names, self._at, strict=True)}
            rows = self._next.all(conn, first=first, last=last, **after)

    def put(self, conn: Connection, rows: list[Row]) -> None:
        """Adds rows as they are."""
        if rows:
            self._insert.many(conn, rows)

    def sum(self, conn: Connection, first: int, last: int) -> Sum:
        """What there is of the histories from `first` to `last`."""
        found = Sum()
        for page in self.pages(conn, first, last):
            found.add(page)
        return found

    def remove(self, conn: Connection, history: int) -> None:
        """Removes the rows of a history."""
        self._delete.run(conn, history=history)

    def _plain(self, row: Row) -> Row:
        # SQLite gives 0 and 1 where PostgreSQL gives booleans, and digests are of what Python shows.
        return tuple(bool(value) if place in self._truths else value for place, value in enumerate(row))


CHANGES: Final = Rows(changes, "history_id", "sequence")
BLOCK_BLOBS: Final = Rows(block_blobs, "history_id", "block_index", "digest")
OF_HISTORIES: Final = (
    Rows(blocks, "history_id", "index"),
    CHANGES,
    Rows(runs, "history_id", "id"),
    Rows(tags, "history_id", "kind", "name", "block_index"),
    Rows(append_keys, "history_id", "key"),
    BLOCK_BLOBS,
)
"""Everything that belongs to a history, but its own row and its context keys."""
