"""Sessions of the OpenAI Agents SDK in files: SQLiteSession, SQLAlchemySession and AdvancedSQLiteSession.

Seen with openai-agents 0.24. A session is a context, and an item makes the blocks that the recorder makes of it, the
item itself with the first. Sessions with branches are imported as their branch `main`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chatstore.databases.foreign import ForeignFile
from chatstore.errors import InvalidInput
from chatstore.importing.entries import Entry, Found, Later, Left, Source, Unread
from chatstore.importing.openai_items import blocks_of
from chatstore.importing.tables import context_of, opened, rows_of, tables_with
from chatstore.importing.values import an_object, parsed
from chatstore.model import JsonValue
from chatstore.recorders import Put

COLUMNS: Final = {"session_id", "message_data"}
"""What tells a table of messages, whatever it is called."""
_AHEAD: Final = 1_000
_SESSIONS: Final = 100
_BRANCHES: Final = "message_structure"
_USAGE: Final = "turn_usage"
_MAIN: Final = "main"
_COUNTS: Final = ("requests", "input_tokens", "output_tokens", "total_tokens")


def read(source: Source) -> Iterator[Found]:
    """The items of all sessions in a file."""
    file = opened(source)
    tables = tables_with(file, COLUMNS)
    if not tables:
        raise InvalidInput(f"no table of it has the columns {' and '.join(sorted(COLUMNS))}")
    branches = _Branches.of(file)
    for table in tables:
        yield from _table(source, file, table, tables, branches)
    yield from branches.left()


def _table(source: Source, file: ForeignFile, table: str, tables: list[str], branches: _Branches) -> Iterator[Found]:
    more = [column for column in ("created_at",) if column in file.tables()[table]]
    for row_id, session, content, *rest in rows_of(source, file, table, ["session_id", "message_data", *more]):
        source.meter.done += 1
        place = f"{table} row {row_id}"
        try:
            if (turn := branches.turn_of(session, row_id)) is None:
                continue
            context = context_of(session, table, tables)
            entry = Entry(context, place, f"{table}/{row_id}", _blocks(content, rest), place_in="order")
        except InvalidInput as error:
            yield Unread(place, str(error))
            continue
        yield from branches.before(context, turn)
        branches.behind(context, session, turn, place, entry.puts)
        yield entry
    yield from branches.ended()


def _blocks(content: Any, rest: list[Any]) -> list[Put]:
    if not isinstance(content, str):
        raise InvalidInput(f"its item is {type(content).__name__}, not text")
    item = an_object(parsed(content), "the item")
    if "__enc__" in item:
        raise InvalidInput("it is encrypted; decrypt the session with the SDK's EncryptedSession first")
    noted: dict[str, JsonValue] = {"created_at": str(rest[0])} if rest and rest[0] is not None else {}
    return blocks_of(item, **noted)


@dataclass
class _Branches:
    """Which items are of the branch that is imported, and what its turns cost; without branches, all of them are."""

    file: ForeignFile | None
    usage: bool = False
    sessions: set[Any] = field(default_factory=set)
    _turns: dict[Any, tuple[int, int, dict[Any, int]]] = field(default_factory=dict)
    _last: dict[str, tuple[Any, int, str, Hashable]] = field(default_factory=dict)

    @classmethod
    def of(cls, file: ForeignFile) -> _Branches:
        tables = file.tables()
        if _BRANCHES not in tables:
            return cls(None)
        sessions = {session for (session,) in file.read(f"SELECT DISTINCT session_id FROM {_BRANCHES}")}
        return cls(file, _USAGE in tables, sessions)

    def turn_of(self, session: Any, row_id: int) -> int | None:
        """The number of an item's turn, 0 where it has none; None for an item of other branches alone."""
        if self.file is None or session not in self.sessions:
            return 0
        first, last, turns = self._turns.get(session, (1, 0, {}))
        if not first <= row_id <= last:
            turns = self._look(session, row_id)
        return turns.get(row_id)

    def _look(self, session: Any, row_id: int) -> dict[Any, int]:
        """Reads the turns of the next items of a session."""
        assert self.file is not None
        rows = self.file.read(
            f"SELECT message_id, user_turn_number FROM {_BRANCHES} WHERE session_id = ? AND branch_id = ?"
            " AND message_id >= ? ORDER BY message_id LIMIT ?",
            (session, _MAIN, row_id, _AHEAD),
        )
        turns = {message: turn if isinstance(turn, int) else 0 for message, turn in rows}
        if len(self._turns) >= _SESSIONS:
            self._turns.clear()
        self._turns[session] = (row_id, rows[-1][0] if len(rows) == _AHEAD else 2**63, turns)
        return turns

    def before(self, context: str, turn: int) -> Iterator[Found]:
        """What the turn cost that ends here."""
        last = self._last.get(context)
        if last is not None and last[1] != turn:
            yield from self._cost(context)

    def behind(self, context: str, session: Any, turn: int, place: str, puts: Sequence[Put]) -> None:
        """Takes note of an item: the last block of a turn has what it cost."""
        if not self.usage or not turn:
            return
        puts[-1].key = ("item", place) if puts[-1].key is None else puts[-1].key
        self._last[context] = (session, turn, place, puts[-1].key)

    def ended(self) -> Iterator[Found]:
        """What the last turns cost."""
        for context in [*self._last]:
            yield from self._cost(context)

    def _cost(self, context: str) -> Iterator[Found]:
        assert self.file is not None
        session, turn, place, block = self._last.pop(context)
        found = self.file.read(
            f"SELECT {', '.join(_COUNTS)} FROM {_USAGE}"
            " WHERE session_id = ? AND branch_id = ? AND user_turn_number = ?",
            (session, _MAIN, turn),
        )
        counts = {name: count for name, count in zip(_COUNTS, found[0], strict=True) if count} if found else {}
        if counts:
            yield Later(context, place, block, usage=counts)

    def left(self) -> Iterator[Found]:
        """The branches that are not imported, with what is in them alone."""
        if self.file is None:
            return
        rows = self.file.read(
            f"SELECT s.session_id, s.branch_id, COUNT(*) FROM {_BRANCHES} s WHERE s.branch_id <> ? AND NOT EXISTS"
            f" (SELECT 1 FROM {_BRANCHES} m WHERE m.session_id = s.session_id AND m.branch_id = ?"
            " AND m.message_id = s.message_id) GROUP BY 1, 2 ORDER BY MIN(s.id)",
            (_MAIN, _MAIN),
        )
        for session, branch, count in rows:
            yield Left(f"session {session}", f"{count:,} items of the branch {branch!r}")
