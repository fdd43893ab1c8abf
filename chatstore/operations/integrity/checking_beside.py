"""What is stored beside the blocks of a history: tags, context keys, leases, and which block has which bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from sqlalchemy import Connection, and_, bindparam, exists, select

from chatstore.model import Tag
from chatstore.operations.histories import History
from chatstore.operations.integrity.checking_log import Tell
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS
from chatstore.schema import HISTORY_TAG, blobs, block_blobs, blocks, context_keys, leases, tags

Page: TypeAlias = Callable[[Connection, History, int], int]
"""Looks at a page of rows from an offset on, given the history's row; how many there were."""

PAGE: Final = 1_000

_PARTS_AT, _TAGS_AT = (BLOCK_COLUMNS.index(blocks.c[name]) for name in ("parts", "tags"))

_TAGGED = Prepared(
    select(
        exists().where(
            tags.c.history_id == bindparam("history_id"),
            tags.c.kind == bindparam("kind"),
            tags.c.name == bindparam("name"),
            tags.c.block_index == bindparam("at"),
        )
    )
)
_TAGS = Prepared(
    select(tags.c.kind, tags.c.name, tags.c.block_index, blocks.c.tags)
    .outerjoin(blocks, and_(blocks.c.history_id == tags.c.history_id, blocks.c.index == tags.c.block_index))
    .where(tags.c.history_id == bindparam("history_id"))
    .order_by(tags.c.kind, tags.c.name, tags.c.block_index)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_HAS_BYTES = Prepared(
    select(block_blobs.c.digest, exists().where(blobs.c.digest == block_blobs.c.digest)).where(
        block_blobs.c.history_id == bindparam("history_id"), block_blobs.c.block_index == bindparam("at")
    )
)
_HAS_KEY = Prepared(
    select(
        exists().where(
            context_keys.c.name == bindparam("name"),
            context_keys.c.value == bindparam("value"),
            context_keys.c.history_id == bindparam("history_id"),
        )
    )
)

_LEASE = Prepared(select(exists().where(leases.c.id == bindparam("lease"))))


def has_its_lease(conn: Connection, is_open: bool, lease: object) -> bool:
    """Whether a block or a run that is open names a lease that is there, and one that is over names none."""
    if not is_open or lease is None:
        return not is_open and lease is None
    row = _LEASE.first(conn, lease=lease)
    return row is not None and bool(row[0])


class Beside:
    """Compares the rows beside one history with what its blocks, and its own row, say of them."""

    def __init__(self, history_id: int, tell: Tell) -> None:
        self._id = history_id
        self._tell = tell

    def check_block(self, conn: Connection, row: Row) -> None:
        """What should be there for a block."""
        index = row[1]
        for kind, name in tag_names(row[_TAGS_AT]):
            if not self._is_tagged(conn, kind, name, index):
                self._tell(index, "tags", f"it cannot be found by its tag {kind!a}:{name!a}")
        wanted = digests(row[_PARTS_AT])
        stored = {bytes(digest): bool(there) for digest, there in _HAS_BYTES.all(conn, history_id=self._id, at=index)}
        if wanted != stored.keys():
            self._tell(index, "block_blobs", "the bytes that are kept for it are not those of its parts")
        if not all(stored.values()):
            self._tell(index, "blobs", "bytes of its parts are missing")

    def parts(self) -> Iterator[tuple[str, Page]]:
        """The tables whose rows are looked at page by page."""
        yield "tags", self._tag_rows
        yield "histories", self._own_row

    def _is_tagged(self, conn: Connection, kind: str, name: str, at: int) -> bool:
        row = _TAGGED.first(conn, history_id=self._id, kind=kind, name=name, at=at)
        return row is not None and bool(row[0])

    def _tag_rows(self, conn: Connection, history: History, offset: int) -> int:
        rows = _TAGS.all(conn, history_id=self._id, limit=PAGE, offset=offset)
        for kind, name, index, on_block in rows:
            of_history = index == HISTORY_TAG
            found = tag_names(history.tags if of_history else on_block)
            if (kind, name) not in found:
                self._tell(None if of_history else index, "tags", f"it is found by a tag that is not on it: {name!a}")
        return len(rows)

    def _own_row(self, conn: Connection, history: History, offset: int) -> int:
        """The history's own keys and tags; there is one row of it."""
        if offset:
            return 0
        for kind, name in tag_names(history.tags):
            if not self._is_tagged(conn, kind, name, HISTORY_TAG):
                self._tell(None, "tags", f"it cannot be found by its tag {kind!a}:{name!a}")
        for name, value in keys_of(history.keys).items():
            row = _HAS_KEY.first(conn, name=name, value=value, history_id=self._id)
            if row is None or not row[0]:
                self._tell(None, "context_keys", f"it cannot be found by its key {name!a}")
        return 1


@lru_cache(maxsize=8)
def tag_names(text: object) -> frozenset[tuple[str, str]]:
    """Kind and name of the tags in stored JSON; none where it is none."""
    try:
        given = json.loads(text or "[]")  # type: ignore[arg-type]
        return frozenset((tag["kind"], tag["name"]) for tag in given if tag.keys() == Tag.model_fields.keys())
    except (ValueError, TypeError, KeyError, AttributeError):
        return frozenset()


def digests(parts: object) -> set[bytes]:
    """The digests of the parts in stored JSON; none where it is none."""
    try:
        return {bytes.fromhex(part["digest"]) for part in json.loads(parts or "[]") if "digest" in part}  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError):
        return set()


def keys_of(text: object) -> dict[str, str]:
    """The context keys in stored JSON; none where it is none."""
    try:
        found = json.loads(text or "{}")  # type: ignore[arg-type]
        return {name: value for name, value in found.items() if isinstance(value, str)}
    except (ValueError, TypeError, AttributeError):
        return {}
