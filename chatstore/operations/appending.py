"""Appending blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select

from chatstore import ids
from chatstore.errors import BlockNotFound, BlocksRemoved, Conflict, KeyConflict
from chatstore.model import Block
from chatstore.operations import checksums, over, reading
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.schema import BLOCK_ADDED, append_keys, blobs, block_blobs, blocks, tags


@dataclass(slots=True)
class NewBlock:
    """A checked draft: what its row needs beside its place, its id and its times. Not changed once it is made; frozen,
    it would take three times as long to make.

    `parent` is the bytes of a block id, or the place of an earlier block in the same append. `check_parent`: the
    block of that id has to be looked up first.
    """

    type: str
    role: str | None
    author: str | None
    run_id: str | None
    parent: bytes | int | None
    check_parent: bool
    text: str
    data: str | None
    parts: str | None
    tags: str | None
    internal: bool
    views: int
    speaker: int | None
    usage: str | None
    tag_names: tuple[tuple[str, str], ...]
    blobs: tuple[tuple[bytes, bytes], ...]
    state: str = "closed"
    lease_id: int | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """An append as it was asked for: `digest` of its content where there is a `key`, `expect` as a cursor."""

    context: ContextRef
    blocks: Sequence[NewBlock]
    key: str | None = None
    digest: bytes = b""
    expect: str | None = None

    @property
    def size(self) -> int:
        """How much there is to write, in small blocks of about as much work."""
        rows = sum(1 + len(new.tag_names) + len(new.blobs) for new in self.blocks)
        return rows + sum(map(_characters, self.blocks)) // 10_000


def _characters(new: NewBlock) -> int:
    texts = (new.text, new.data, new.parts, new.tags, new.usage)
    return sum(len(text) for text in texts if text) + sum(len(content) for _, content in new.blobs)


_KEY = Prepared(
    select(append_keys.c.digest, append_keys.c.first_index, append_keys.c.count).where(
        append_keys.c.history_id == bindparam("history_id"), append_keys.c.key == bindparam("key")
    )
)
_ADD_KEY = Prepared(insert(append_keys))
_STORED = Prepared(
    select(*BLOCK_COLUMNS)
    .where(
        blocks.c.history_id == bindparam("history_id"),
        blocks.c.index >= bindparam("first"),
        blocks.c.index < bindparam("end"),
    )
    .order_by(blocks.c.index)
)
_ADD_TAGS = Prepared(insert(tags))
# Held, where rows can be: others may remove the last reference to the same bytes now (see `dropping`).
_HAS_BLOB = Prepared(
    select(blobs.c.digest).where(blobs.c.digest == bindparam("digest")).with_for_update(read=True, key_share=True)
)
_ADD_BLOB = Prepared(insert(blobs))
_ADD_BLOCK_BLOBS = Prepared(insert(block_blobs))


def append(transaction: Transaction, wanted: Append) -> list[Block]:
    """Stores the blocks of an append, or returns those that its key stored before.

    Raises KeyConflict, BlocksRemoved, Conflict or BlockNotFound before anything is written.
    """
    stored = check(transaction, wanted)
    if stored is not None:
        return stored
    history = transaction.history(wanted.context.context_id)
    # Behind the key: what was stored under it is given again, also when the run that it was written in is over by now.
    for run_id in {block.run_id for block in wanted.blocks if block.run_id is not None}:
        over.check_running(transaction, history, run_id)
    if not wanted.blocks:
        return []
    return _store(transaction, transaction.open_history(wanted.context), wanted)


def check(transaction: Transaction, wanted: Append) -> list[Block] | None:
    """Refuses an append that cannot be made; the blocks, if its key stored them before."""
    history = transaction.history(wanted.context.context_id)
    if history is not None and wanted.key is not None:
        stored = _stored_before(transaction, history, wanted)
        if stored is not None:
            return stored
    if wanted.expect is not None:
        _check_expected(transaction, history, wanted)
    _check_parents(transaction, history, wanted.blocks)
    return None


def _stored_before(transaction: Transaction, history: History, wanted: Append) -> list[Block] | None:
    # The same key may have come earlier in this group: its row is in the table already, its blocks are only gathered.
    transaction.flush()
    row = _KEY.first(transaction.conn, history_id=history.id, key=wanted.key)
    if row is None:
        return None
    digest, first, count = row
    if bytes(digest) != wanted.digest:
        raise KeyConflict(
            f"key {wanted.key!r} was used before in this history with other content; a key names one append"
        )
    if first < history.first_index:
        raise BlocksRemoved(
            f"key {wanted.key!r} stored blocks {first:,} to {first + count - 1:,} of this history, and not all of them"
            " are retained; they are not stored again",
            first_index=first,
            count=count,
        )
    rows = _STORED.all(transaction.conn, history_id=history.id, first=first, end=first + count)
    return [transaction.block(row, wanted.context.context_id) for row in rows]


def _check_expected(transaction: Transaction, history: History | None, wanted: Append) -> None:
    assert wanted.expect is not None
    cursors = transaction.cursors(wanted.context.context_id)
    expected = cursors.sequence(wanted.expect)
    head = 0 if history is None else history.head
    reading.check_within(expected, head)
    if expected != head:
        raise Conflict(
            f"{head - expected} changes were written after the expected cursor; read on from there and decide again",
            head=cursors.at(head),
        )


def _check_parents(transaction: Transaction, history: History | None, new: Sequence[NewBlock]) -> None:
    wanted = {block.parent for block in new if block.check_parent}
    if not wanted:
        return
    # A parent may have been appended by a neighbour in the same group, whose rows are only gathered.
    transaction.flush()
    for parent in wanted:
        assert isinstance(parent, bytes)
        if history is None or reading.row_of(transaction.conn, history.id, parent) is None:
            raise BlockNotFound(f"the parent {ids.id_text(parent)} is not a block of this history")


def _store(transaction: Transaction, history: History, wanted: Append) -> list[Block]:
    first = history.count
    stored: list[Block] = []
    raw_ids: list[bytes] = []
    for new in wanted.blocks:
        raw_ids.append(ids.block_id(transaction.now, history.count))
        parent = raw_ids[new.parent] if isinstance(new.parent, int) else new.parent
        row = _row(new, history, raw_ids[-1], parent, transaction.now)
        if new.type == "message" and new.role == "user":
            history.last_user = history.count
        block = transaction.block(row, wanted.context.context_id)
        transaction.add_block(row)
        transaction.log(history, BLOCK_ADDED, row, block)
        _store_beside(transaction, history, new)
        history.count += 1
        stored.append(block)
    if wanted.key is not None:
        key = (history.id, wanted.key, wanted.digest, first, len(stored))
        _ADD_KEY.many(transaction.conn, [(*key, checksums.of_key(*key))])
    return stored


def _row(new: NewBlock, history: History, id: bytes, parent: bytes | None, now: int) -> Row:
    return (
        history.id,
        history.count,
        id,
        new.type,
        new.role,
        new.author,
        new.run_id,
        parent,
        new.text,
        new.data,
        new.parts,
        new.tags,
        new.internal,
        new.views,
        new.speaker,
        new.state,
        new.usage,
        history.head + 1,
        now,
        now,
        new.lease_id,
        None,
    )


def _store_beside(transaction: Transaction, history: History, new: NewBlock) -> None:
    """What finds the block by its tags, and the bytes of its parts, each content once."""
    index = history.count
    if new.tag_names:
        _ADD_TAGS.many(transaction.conn, [(history.id, kind, name, index) for kind, name in new.tag_names])
    if not new.blobs:
        return
    for digest, content in new.blobs:
        if _HAS_BLOB.first(transaction.conn, digest=digest) is None:
            _ADD_BLOB.many(transaction.conn, [(digest, content)])
    # Each content once: two parts of a block may be the same bytes.
    _ADD_BLOCK_BLOBS.many(
        transaction.conn, [(history.id, index, digest) for digest in dict.fromkeys(d for d, _ in new.blobs)]
    )
