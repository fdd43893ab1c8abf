"""Repair of the bytes of parts: put back where their digest proves it, else set aside, and their parts say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from chatstore import ids
from chatstore.errors import StoreDamaged
from chatstore.operations import checksums, proving
from chatstore.operations.histories import by_number
from chatstore.operations.integrity.restoring import restored
from chatstore.operations.prepared import Prepared
from chatstore.operations.rows import BLOCK_COLUMNS
from chatstore.schema import BLOCK_UPDATED, blobs, block_blobs, blocks, changes, histories

Aside: TypeAlias = Callable[[str | None, str, dict[str, Any]], None]
Said: TypeAlias = Callable[[str | None, int | None, str], None]

LOST: Final = "[The bytes of this part were damaged in storage, and could not be restored.]"

_PARTS_AT, _UPDATED_AT = (BLOCK_COLUMNS.index(blocks.c[name]) for name in ("parts", "updated_at"))
_DIGESTS = Prepared(select(blobs.c.digest))
_CONTENT = Prepared(select(blobs.c.content).where(blobs.c.digest == bindparam("digest")))
_IS_HELD = Prepared(select(block_blobs.c.digest).where(block_blobs.c.digest == bindparam("digest")).limit(1))
_REMOVE = Prepared(delete(blobs).where(blobs.c.digest == bindparam("digest")))
_ADD = Prepared(insert(blobs).values(digest=bindparam("digest"), content=bindparam("content")))
_WITHOUT = Prepared(
    select(*block_blobs.c)
    .where(~exists().where(blobs.c.digest == block_blobs.c.digest))
    .order_by(block_blobs.c.history_id, block_blobs.c.block_index)
)
_BLOCK = Prepared(proving.blocks_where(blocks.c.history_id == bindparam("history"), blocks.c.index == bindparam("at")))
_SET_PARTS = Prepared(
    update(blocks)
    .where(blocks.c.history_id == bindparam("history"), blocks.c.index == bindparam("at"))
    .values(parts=bindparam("new"), updated_at=bindparam("now"))
)
_SET_HEAD = Prepared(
    update(histories)
    .where(histories.c.id == bindparam("history"))
    .values(head=bindparam("new"), updated_at=bindparam("now"))
)
_LOG = Prepared(
    insert(changes).values(
        {name: bindparam(name) for name in ("history_id", "sequence", "type", "block_index", "checksum")}
    )
)
_FORGET = Prepared(
    delete(block_blobs).where(
        block_blobs.c.history_id == bindparam("history"),
        block_blobs.c.block_index == bindparam("at"),
        block_blobs.c.digest == bindparam("digest"),
    )
)


def repair(conn: Connection, aside: Aside, said: Said) -> None:
    """Looks at the bytes of all parts, and repairs what is not what its digest says."""
    for (digest,) in _DIGESTS.all(conn):
        row = _CONTENT.first(conn, digest=digest)
        if row is not None and sha256(row[0]).digest() != digest:
            _put_right(conn, digest, row[0], aside, said)
    for history, index, digest in _WITHOUT.all(conn):
        _mark(conn, history, index, digest, aside, said)
    for (digest,) in _DIGESTS.all(conn):
        if _IS_HELD.first(conn, digest=digest) is None:
            _drop(conn, digest, aside, said)


def _put_right(conn: Connection, digest: bytes, content: bytes, aside: Aside, said: Said) -> None:
    aside(None, "blobs", {"digest": digest, "content": content})
    _REMOVE.run(conn, digest=digest)
    found = sha256(content).digest()
    again = restored((content,), (0,), lambda tried: sha256(tried[0]).digest() == digest)
    if again is not None:
        _ADD.run(conn, digest=digest, content=again[0])
    # Or the digest is what was turned: then blocks have the right one, and no bytes for it.
    elif _IS_HELD.first(conn, digest=found) is not None and _CONTENT.first(conn, digest=found) is None:
        _ADD.run(conn, digest=found, content=content)
    else:
        said(None, None, f"the bytes kept as {digest.hex()} were set aside")
        return
    said(None, None, f"the bytes kept as {digest.hex()} were put back as they were")


def _drop(conn: Connection, digest: bytes, aside: Aside, said: Said) -> None:
    """Removes bytes that no block holds any more: an erasure of their context would not find them."""
    [(content,)] = _CONTENT.all(conn, digest=digest)
    aside(None, "blobs", {"digest": digest, "content": content})
    _REMOVE.run(conn, digest=digest)
    said(None, None, f"the bytes kept as {digest.hex()}, which no block holds any more, were set aside")


def _mark(conn: Connection, history: int, index: int, digest: bytes, aside: Aside, said: Said) -> None:
    """Has the part say that its bytes are lost, and logs that the block was updated."""
    own, found = by_number(conn, history), _BLOCK.first(conn, history=history, at=index)
    if own is None or found is None:
        return
    context_id, head, now = own.context_id, own.head, ids.now()
    try:
        row, last = proving.proved(found)
    except StoreDamaged as error:  # the repair of its history has failed, and said so
        said(context_id, index, f"the bytes of a part of it are lost, and it stays as it is: {error}")
        return
    columns = [*row]
    aside(context_id, "blocks", dict(zip((column.name for column in BLOCK_COLUMNS), columns, strict=True)))
    parts = [
        {"type": "text", "text": LOST} if part.get("digest") == digest.hex() else part
        for part in json.loads(columns[_PARTS_AT] or "[]")
    ]
    columns[_PARTS_AT] = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    columns[_UPDATED_AT] = now
    checksum = checksums.replacing(checksums.of_block(head + 1, BLOCK_UPDATED, tuple(columns)), *last)
    _SET_PARTS.run(conn, history=history, at=index, new=columns[_PARTS_AT], now=now)
    _FORGET.run(conn, history=history, at=index, digest=digest)
    _LOG.run(conn, history_id=history, sequence=head + 1, type=BLOCK_UPDATED, block_index=index, checksum=checksum)
    _SET_HEAD.run(conn, history=history, new=head + 1, now=now)
    said(context_id, index, "the bytes of a part of it are lost, and the part says so")
