"""Tables of conversations in database files: the rows of those that have the columns of a format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from chatstore.databases.foreign import ForeignFile, quoted
from chatstore.errors import InvalidInput
from chatstore.importing.entries import Source

_USUAL: Final = frozenset({"agent_messages", "message_store"})


def opened(source: Source) -> ForeignFile:
    """The file of a source as a database."""
    if source.path is None:
        raise InvalidInput("it is no database; one is read where it is, by the name of its file")
    return ForeignFile(source.path)


def tables_with(file: ForeignFile, columns: set[str]) -> list[str]:
    """The tables that have at least these columns."""
    return [name for name, found in file.tables().items() if columns <= {*found}]


def rows_of(source: Source, file: ForeignFile, table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of a table in their order, each behind its row id; how far they are is told to the source's meter."""
    named = ", ".join(quoted(column) for column in columns)
    ends = file.read(f"SELECT MAX(rowid), COUNT(*) FROM {quoted(table)}")
    source.meter.total = (source.meter.total or 0) + int(ends[0][1])
    yield from file.pages(
        f"SELECT rowid, {named} FROM {quoted(table)}"
        " WHERE rowid > :after AND rowid <= :last ORDER BY rowid LIMIT :limit",
        {"last": ends[0][0]},
    )


def context_of(value: Any, table: str, tables: Sequence[str]) -> str:
    """A session's id as that of a context. Sessions of several tables may have the same id: the table goes before it.

    Not before those of a table that has the name which its program gives it.
    """
    if isinstance(value, (bytes, float)) or value is None:
        raise InvalidInput("its session id is no text")
    return str(value) if len(tables) == 1 or table in _USUAL else f"{table}/{value}"
