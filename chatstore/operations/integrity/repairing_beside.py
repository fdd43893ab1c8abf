"""What finds the blocks of a history, made anew from them: tags, context keys, append keys, places of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import Connection, LargeBinary, Table, Text, bindparam, cast, delete, insert, select

from chatstore.operations.histories import History
from chatstore.operations.integrity.checking_beside import digests, keys_of, tag_names
from chatstore.operations.integrity.repairing_log import Rows
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS
from chatstore.schema import HISTORY_TAG, append_keys, block_blobs, blocks, context_keys, tags

Aside: TypeAlias = Callable[[str, dict[str, Any]], None]
Said: TypeAlias = Callable[[int | None, str], None]

_PARTS_AT, _TAGS_AT = (BLOCK_COLUMNS.index(blocks.c[name]) for name in ("parts", "tags"))


def _is_text(table: Table, name: str) -> bool:
    return isinstance(table.c[name].type, Text)


class _Beside:
    """One table of rows that the rest of a history implies."""

    def __init__(self, table: Table, *names: str) -> None:
        self.table = table
        self.names = names
        own = table.c.history_id == bindparam("history")
        given: dict[str, Any] = {name: bindparam(name) for name in names}
        # What is damaged may be no text that could be bound, so it is given as bytes.
        same = [
            table.c[name] == (cast(bindparam(name, type_=LargeBinary), Text) if _is_text(table, name) else given[name])
            for name in names
        ]
        self._all = Prepared(select(*(table.c[name] for name in names)).where(own))
        self._remove = Prepared(delete(table).where(own, *same))
        self._add = Prepared(insert(table).values(history_id=bindparam("history"), **given))

    def stored(self, conn: Connection, history_id: int) -> set[Row]:
        """The rows that are there."""
        return {*self._all.all(conn, history=history_id)}

    def make(self, conn: Connection, history_id: int, wanted: set[Row], aside: Aside) -> set[Row]:
        """Leaves the rows that are wanted, and no others; those that were not as they should be."""
        stored = self.stored(conn, history_id)
        for row in stored - wanted:
            named = dict(zip(self.names, row, strict=True))
            aside(self.table.name, {"history_id": history_id, **named})
            raw = {name: _raw(value) for name, value in named.items()}
            self._remove.run(conn, history=history_id, **raw)
        for row in wanted - stored:
            self._add.run(conn, history=history_id, **dict(zip(self.names, row, strict=True)))
        return stored ^ wanted


_TAGS = _Beside(tags, "kind", "name", "block_index")
_BYTES = _Beside(block_blobs, "block_index", "digest")
_KEYS = _Beside(context_keys, "name", "value")
_APPENDS = Prepared(
    select(append_keys.c.key, append_keys.c.first_index, append_keys.c.count).where(
        append_keys.c.history_id == bindparam("history")
    )
)
_FORGET = Prepared(
    delete(append_keys).where(
        append_keys.c.history_id == bindparam("history"),
        append_keys.c.key == cast(bindparam("raw", type_=LargeBinary), Text),
    )
)


def rebuild(conn: Connection, rows: Rows, history: History, aside: Aside, said: Said) -> None:
    """Makes anew what is beside the blocks of a history, where it is not as they say."""
    own = rows.history_id
    wanted_tags: set[Row] = {(kind, name, HISTORY_TAG) for kind, name in tag_names(history.tags)}
    wanted_tags |= {(*tag, index) for index, row in rows.blocks.items() for tag in tag_names(row[_TAGS_AT])}
    for index in {row[2] for row in _TAGS.make(conn, own, wanted_tags, aside)}:
        said(None if index == HISTORY_TAG else index, "is found by its tags again")
    wanted: set[Row] = {(index, digest) for index, row in rows.blocks.items() for digest in digests(row[_PARTS_AT])}
    for index in {row[0] for row in _BYTES.make(conn, own, wanted, aside)}:
        said(index, "has the bytes that its parts name again, where they are stored")
    if _KEYS.make(conn, own, {*keys_of(history.keys).items()}, aside):
        said(None, "is found by its keys again")
    count = max(rows.blocks, default=-1) + 1
    for key, first, length in _APPENDS.all(conn, history=own):
        if not 0 <= first < first + length <= max(count, history.first_index):
            aside("append_keys", {"history_id": own, "key": key, "first_index": first, "count": length})
            _FORGET.run(conn, history=own, raw=_raw(key))
            said(None, f"has forgotten the key {key!a}, which stood for blocks that are not there")


def _raw(value: Any) -> Any:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value
