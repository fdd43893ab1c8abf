"""A store with something of everything, and bits turned in what is stored in it."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatstore import BlockDraft, ChatStore, History, Part, Tag

TABLES = ("blocks", "changes", "runs", "tags", "blobs", "histories")
UNPROVED = {
    ("histories", "context_id"),
    ("histories", "created_at"),
    ("histories", "updated_at"),
}
"""Columns that no checksum covers, and nothing else that is stored repeats."""
_NUMBERS = {"id", "history_id"}
_HELD = """SELECT h.context_id, b.block_index FROM block_blobs b JOIN histories h ON h.id = b.history_id
           WHERE b.digest = ?"""
# An entry about a block or a run that a later one has replaced: nothing is compared with its checksum any more.
_REPLACED = """SELECT EXISTS (SELECT 1 FROM changes l WHERE l.history_id = ? AND l.sequence > ? AND l.type > 0
               AND (l.block_index = ? OR l.type > 4 AND l.text = CAST(? AS TEXT)))"""


def fill(path: Path, contexts: int = 6) -> None:
    """A store with something of everything: batches, keys, tags, parts, calls, runs, text that grew and still does."""
    with ChatStore(path) as store:
        for number in range(contexts):
            converse(
                store.history({"user": f"u{number}", "channel": "web"} if number % 2 else f"context {number}"), number
            )
        store.compact()
        answer = store.history("context 0").open_message(author="last")
        answer.write("said and kept: ")
        answer.flush()
        answer.cancel()


def converse(history: History, number: int) -> None:
    """A conversation."""
    picture = Part(type="image", mime_type="image/png", content=random.Random(number).randbytes(300))
    asked = history.append_user_message("Wie spät ist es?", tags=[Tag(kind="topic", name="time", value=number)])
    history.append([BlockDraft(type="status", text=f"step {step}") for step in range(3)], key=f"key {number}")
    with history.run() as run:
        call = history.append_function_call("clock", {"zone": "Europe/Berlin"}, call_id="call_1")
        history.append_function_result("12:30", call=call)
        with history.open_message(author="writer") as answer:
            for word in ("Es ", "ist ", "halb ", "eins."):
                answer.write(word)
                answer.flush()
        assert run.id
    history.append_user_message("Danke!", parts=[picture], author="person", internal=bool(number % 2))
    history.tag(asked, Tag(kind="seen", name="yes"))
    history.set_usage(call, {"input_tokens": 100 + number})
    history.tag_context(Tag(kind="list", name=f"shelf {number}"))


@dataclass(slots=True)
class Flip:
    """A bit turned in one value, and whom it concerns: a context, and the blocks, if it is about such."""

    table: str
    column: str
    before: dict[str, Any]
    after: dict[str, Any]
    context_id: str | None
    blocks: frozenset[int | None]


class Flipper:
    """Turns a bit of any value, and back again."""

    def __init__(self, conn: sqlite3.Connection, seed: int) -> None:
        self._conn = conn
        self._conn.text_factory = bytes
        self._random = random.Random(seed)
        names = conn.execute("SELECT id, context_id FROM histories").fetchall()
        self._names = {id: name.decode() for id, name in names}

    def flip(self, table: str) -> Flip:
        """Turns a bit somewhere in a table. What no checksum covers is left out."""
        while True:
            before = self._row(table)
            column = self._random.choice([name for name, value in before.items() if value is not None])
            if self._is_left_out(table, column, before):
                continue
            after = {**before, column: self._turned(before[column])}
            try:
                self._replace(table, before, after)
            except sqlite3.IntegrityError:
                continue  # a key that there is
            context_id, blocks = self._concerned(table, before)
            return Flip(table, column, before, after, context_id, blocks)

    def undo(self, flip: Flip) -> None:
        """Turns it back."""
        self._replace(flip.table, flip.after, flip.before)

    def _row(self, table: str) -> dict[str, Any]:
        [(count,)] = self._conn.execute(f"SELECT count(*) FROM {table}")
        cursor = self._conn.execute(f"SELECT * FROM {table} LIMIT 1 OFFSET ?", (self._random.randrange(count),))
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))

    def _is_left_out(self, table: str, column: str, row: dict[str, Any]) -> bool:
        if (table, column) in UNPROVED or (column in _NUMBERS and table != "blocks" and table != "runs"):
            return True
        if column == "history_id" or (table, column) != ("changes", "checksum"):
            return column == "history_id"
        about = (row["history_id"], row["sequence"], row["block_index"], row["text"])
        [(replaced,)] = self._conn.execute(_REPLACED, about)
        return bool(replaced) and row["type"] > 0

    def _turned(self, value: Any) -> Any:
        if isinstance(value, int):
            return value ^ 1 << self._random.randrange(48)
        if not value:
            return b"\x01"
        turned = bytearray(value)
        turned[self._random.randrange(len(turned))] ^= 1 << self._random.randrange(8)
        return bytes(turned)

    def _replace(self, table: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        """Writes one row over another, values as the types they have in the schema."""
        names = {name: kind for _, name, kind, *_ in self._columns(table)}
        sets = ", ".join(f'"{name}" = {_bound(kind)}' for name, kind in names.items())
        wheres = " AND ".join(f'"{name}" IS {_bound(kind)}' for name, kind in names.items())
        changed = self._conn.execute(f"UPDATE {table} SET {sets} WHERE {wheres}", [*new.values(), *old.values()])
        assert changed.rowcount == 1
        self._conn.commit()

    def _columns(self, table: str) -> list[tuple[Any, ...]]:
        rows = self._conn.execute(f"PRAGMA table_info({table})").fetchall()
        return [(number, name.decode(), kind.decode()) for number, name, kind, *_ in rows]

    def _concerned(self, table: str, row: dict[str, Any]) -> tuple[str | None, frozenset[int | None]]:
        if table == "blobs":
            held = self._conn.execute(_HELD, (row["digest"],)).fetchall()
            return held[0][0].decode(), frozenset(index for _, index in held)
        index = row.get("index", row.get("block_index"))
        about = frozenset() if index is None or index < 0 else frozenset([index])
        return self._names[row["id" if table == "histories" else "history_id"]], about


def _bound(kind: str) -> str:
    return "CAST(? AS TEXT)" if kind == "TEXT" else "?"
