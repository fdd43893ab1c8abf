"""The limit: Python's `sqlite3` doing what SQLite does for an append of ours, and nothing else.

The statements are not written down here, where they would soon be others than the package's. A store is opened on
connections that record what runs on them, and two appends are made. What they ran is what the peer runs on from
there, in the same file with the same tables and indexes, on a connection with the same pragmas: the same SQL in the
same order, with its rows fetched. A value that was alike in both appends stays as it is, the text becomes the new
text, and whatever else differed (indexes, counters, times, ids) goes on in the step it made between the two. Ids so
come in order, which favours the peer, and there are no models, no checks and no threads.

In the end the file is opened as a store again, and has to hold every text in its place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sqlalchemy import Engine, event

from benchmarks.stores import UNSYNCED, directory
from benchmarks.workloads import Append
from chatstore import ChatStore

NOTE = "the statements of an append and nothing else: no block model, no checks, no other threads, nobody is told"
Synchronous: TypeAlias = Literal["NORMAL", "FULL"]

_WARM_UP = ("one", "two", "three")
_RECORDED = ("the text of the first", "the text of the other")
_COUNT = len(_WARM_UP) + len(_RECORDED)


@dataclass(frozen=True)
class Statement:
    """A statement as it ran; `gives_rows`: they were there to fetch."""

    sql: str
    values: Sequence[object]
    gives_rows: bool


class _Cursor(sqlite3.Cursor):
    connection: _Connection

    def execute(self, sql: str, values: Any = (), /) -> _Cursor:
        super().execute(sql, values)
        self.connection.ran.append(Statement(sql, tuple(values), self.description is not None))
        return self

    def executemany(self, sql: str, rows: Iterable[Any], /) -> _Cursor:
        for row in rows:
            self.execute(sql, row)
        return self


class _Connection(sqlite3.Connection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ran: list[Statement] = []

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, values: Any = (), /) -> Any:
        return self.cursor().execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> Any:
        return self.cursor().executemany(sql, rows)


@dataclass(frozen=True)
class Recording:
    """What the connection that wrote ran when it was opened, and for each of two appends."""

    pragmas: list[str]
    first: list[Statement]
    second: list[Statement]


def record(path: Path) -> Recording:
    """Makes a store at the path and a history in it, appending to it on connections that keep what they run."""
    ChatStore(path, durability=UNSYNCED).close()
    with _recording() as connections, ChatStore(path, durability=UNSYNCED) as store:
        append = store.history("context-0").append_user_message
        for text in _WARM_UP:
            append(text)
        ends = [_lengths(connections)]
        for text in _RECORDED:
            append(text)
            ends.append(_lengths(connections))
        wrote = [place for place, (before, after) in enumerate(zip(ends[0], ends[-1], strict=True)) if after > before]
        assert len(wrote) == 1, f"an append used {len(wrote)} connections; this peer knows appends that use one"
        start, middle, end = (lengths[wrote[0]] for lengths in ends)
        ran = connections[wrote[0]].ran
    pragmas = [one.sql for one in ran[:start] if one.sql.startswith("PRAGMA")]
    return Recording(pragmas, *(_without_syncing(part) for part in (ran[start:middle], ran[middle:end])))


@contextmanager
def _recording() -> Iterator[list[_Connection]]:
    connections: list[_Connection] = []

    def connect(_dialect: object, _record: object, cargs: list[Any], cparams: dict[str, Any]) -> _Connection:
        connections.append(_Connection(*cargs, **cparams))
        return connections[-1]

    event.listen(Engine, "do_connect", connect)
    try:
        yield connections
    finally:
        event.remove(Engine, "do_connect", connect)


def _lengths(connections: Sequence[_Connection]) -> list[int]:
    return [len(connection.ran) for connection in connections]


def _without_syncing(statements: Iterable[Statement]) -> list[Statement]:
    """Without what sets how commits are synced: the peer's own setting, which it makes once."""
    return [one for one in statements if not one.sql.startswith("PRAGMA synchronous")]


@dataclass(frozen=True)
class Replay:
    """One statement with a value for every append to come."""

    sql: str
    values: Sequence[object]
    texts: Sequence[int]
    counted: Sequence[tuple[int, Callable[[int], object]]]
    gives_rows: bool

    def run(self, conn: sqlite3.Connection, number: int, text: str) -> None:
        """Runs it for the append of that number, counted from the second recorded one."""
        values = [*self.values]
        for place in self.texts:
            values[place] = text
        for place, value in self.counted:
            values[place] = value(number)
        cursor = conn.execute(self.sql, values)
        if self.gives_rows:
            cursor.fetchall()


def replays(recording: Recording) -> list[Replay]:
    """The statements of the appends that follow the recorded ones."""
    assert [one.sql for one in recording.first] == [one.sql for one in recording.second], "two appends ran other SQL"
    return [_replay(*pair) for pair in zip(recording.first, recording.second, strict=True)]


def _replay(first: Statement, second: Statement) -> Replay:
    texts, counted = [], []
    for place, (before, after) in enumerate(zip(first.values, second.values, strict=True)):
        if (before, after) == _RECORDED:
            texts.append(place)
        elif before != after:
            counted.append((place, _going_on(before, after)))
    return Replay(second.sql, second.values, texts, counted, second.gives_rows)


def _going_on(before: object, after: object) -> Callable[[int], object]:
    """The value of each later append, in the step between two."""
    match before, after:
        case int(), int():
            step, last = after - before, after
            return lambda number: last + number * step
        case bytes(), bytes():
            size, low, high = len(after), *sorted((int.from_bytes(before), int.from_bytes(after)))
            return lambda number: (high + number * (high - low)).to_bytes(size)
    raise AssertionError(f"this peer does not know how {before!r} became {after!r}")


@contextmanager
def statements(synchronous: Synchronous) -> Iterator[Callable[[str], Append]]:
    """Gives an append that runs them; on the one context that was recorded, whatever its name."""
    with directory() as path:
        file = path / "chat.db"
        recording = record(file)
        steps, texts = replays(recording), [""]
        with closing(sqlite3.connect(file, isolation_level=None)) as conn:
            for pragma in (*recording.pragmas, f"PRAGMA synchronous={synchronous}"):
                conn.execute(pragma).fetchall()

            def append(text: str) -> None:
                number = len(texts)
                for step in steps:
                    step.run(conn, number, text)
                texts.append(text)

            yield lambda _: append
        _check(file, texts[1:])


def _check(file: Path, texts: list[str]) -> None:
    """Refuses to have measured anything that is not a history."""
    with ChatStore(file) as store:
        stored = store.history("context-0")
        assert stored.count() == _COUNT + len(texts), "the peer's file does not hold what it appended"
        last = stored.get_messages(kind="transcript", last=50)
        assert [block.text for block in last] == [*_WARM_UP, *_RECORDED, *texts][-50:]
