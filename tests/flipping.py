"""A store with something of everything, and bits turned in what is stored in it."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatstore import BlockDraft, ChatStore, History, Part, Retain, Tag
from chatstore.schema import metadata

TABLES = tuple(metadata.tables)
KEPT_BY_AN_INDEX = ("changes", "id")
"""The column that no checksum has, as SQLite chooses it while it writes the row: an index of SQLite's has it, too."""
_INDEX = "changes_sequence"
_HELD = """SELECT h.context_id, b.block_index FROM block_blobs b JOIN histories h ON h.id = b.history_id
           WHERE b.digest = ?"""
# A process that dies with a run and blocks open, and leaves its lease.
_LEFT_OPEN = """
import os, sys
from chatstore import ChatStore, Tag
history = ChatStore(sys.argv[1], durability="full").history("left open")
with history.run():
    first, second = history.open_message(author="one"), history.open_message(author="two")
    for number in range(4):
        first.write(f"piece {number} "), first.flush()
        second.write(f"part {number} "), second.flush()
    history.tag(first.block, Tag(kind="topic", name="open"))
    first.close()
    os._exit(0)
"""


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


def fill_all(path: Path) -> None:
    """The same, with what retention, an erasure, a dead process and pieces that are not compacted leave."""
    fill(path)
    with ChatStore(path, retain=Retain(blocks=9)) as store:
        converse(store.history("retained"), 7)
        with store.history("retained").run():
            store.history("retained").append([BlockDraft(text=str(number)) for number in range(4)])
            first = store.history("retained").get_messages()[0]
            store.history("retained").tag(first, Tag(kind="topic", name="old"))
            store.history("retained").append([BlockDraft(text=str(number)) for number in range(10)])
            assert store.prune()
        store.history("secret").append_user_message("forget me")
        store.history("secret").erase()
        store.history("only tagged").tag_context(Tag(kind="list", name="alone"))
    subprocess.run([sys.executable, "-c", _LEFT_OPEN, path], check=True, timeout=60)


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
    """Turns a bit of any value of any row, and back again."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._random = random.Random(seed)
        self._conn = self._connected()
        names = self._conn.execute("SELECT id, context_id FROM histories").fetchall()
        self._names = {id: name.decode() for id, name in names}
        self.tables = [table for table in TABLES if self._count(table)]

    def close(self) -> None:
        self._conn.close()

    def flip(self, table: str, column: str | None = None) -> Flip:
        """Turns a bit somewhere in a table, or in one of its columns."""
        wanted = column
        while True:
            before = self._row(table)
            known = [name for name, value in before.items() if value is not None and wanted in (None, name)]
            if not known:
                continue
            column = self._random.choice(known)
            after = {**before, column: self._turned(before[column])}
            try:
                self._replace(table, column, before, after)
            except sqlite3.IntegrityError:
                self._conn.rollback()
                continue  # a key that there is
            context_id, blocks = self._concerned(table, before)
            return Flip(table, column, before, after, context_id, blocks)

    def undo(self, flip: Flip) -> None:
        """Turns it back."""
        self._replace(flip.table, flip.column, flip.after, flip.before)

    def _connected(self) -> sqlite3.Connection:
        conn = sqlite3.connect(self._path)
        conn.text_factory = bytes
        return conn

    def _count(self, table: str) -> int:
        [(count,)] = self._conn.execute(f"SELECT count(*) FROM {table}")
        return int(count)

    def _row(self, table: str) -> dict[str, Any]:
        at = self._random.randrange(self._count(table))
        cursor = self._conn.execute(f"SELECT * FROM {table} LIMIT 1 OFFSET ?", (at,))
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))

    def _turned(self, value: Any) -> Any:
        if isinstance(value, int):
            return value ^ 1 << self._random.randrange(48)
        if not value:
            return b"\x01"
        turned = bytearray(value)
        turned[self._random.randrange(len(turned))] ^= 1 << self._random.randrange(8)
        return bytes(turned)

    def _replace(self, table: str, column: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        """Writes one row over another, values as the types they have in the schema."""
        if (table, column) == KEPT_BY_AN_INDEX:
            self._replace_beside_its_index(old, new)
            return
        names = {name: kind for _, name, kind, *_ in self._columns(table)}
        sets = ", ".join(f'"{name}" = {_bound(kind)}' for name, kind in names.items())
        wheres = " AND ".join(f'"{name}" IS {_bound(kind)}' for name, kind in names.items())
        changed = self._conn.execute(f"UPDATE {table} SET {sets} WHERE {wheres}", [*new.values(), *old.values()])
        assert changed.rowcount == 1
        self._conn.commit()

    def _replace_beside_its_index(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        """The same of a row's number as a disk would do it: the index is out of the way, and stays as it was."""
        conn = self._conn
        conn.execute("PRAGMA writable_schema=ON")
        [kept] = conn.execute("SELECT * FROM sqlite_schema WHERE name = CAST(? AS TEXT)", (_INDEX.encode(),)).fetchall()
        conn.execute("DELETE FROM sqlite_schema WHERE name = ?", (_INDEX,))
        conn.commit()
        self._reopen()
        try:
            self._conn.execute("UPDATE changes SET id = ? WHERE id = ?", (new["id"], old["id"]))
        finally:
            self._conn.execute("PRAGMA writable_schema=ON")
            values = [value.decode() if isinstance(value, bytes) else value for value in kept]
            self._conn.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", values)
            self._conn.commit()
            self._reopen()

    def _reopen(self) -> None:
        self._conn.close()
        self._conn = self._connected()

    def _columns(self, table: str) -> list[tuple[Any, ...]]:
        rows = self._conn.execute(f"PRAGMA table_info({table})").fetchall()
        return [(number, name.decode(), kind.decode()) for number, name, kind, *_ in rows]

    def _concerned(self, table: str, row: dict[str, Any]) -> tuple[str | None, frozenset[int | None]]:
        if table == "blobs":
            held = self._conn.execute(_HELD, (row["digest"],)).fetchall()
            return held[0][0].decode(), frozenset(index for _, index in held)
        if table in ("leases", "store_info"):
            return None, frozenset()
        index = row.get("index", row.get("block_index"))
        about = frozenset() if index is None or index < 0 else frozenset([index])
        return self._names[row["id" if table == "histories" else "history_id"]], about


def _bound(kind: str) -> str:
    return "CAST(? AS TEXT)" if kind == "TEXT" else "?"
