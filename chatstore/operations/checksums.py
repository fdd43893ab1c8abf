"""Checksums: what an entry of the log and the block or run that it is about were, in 32 bits.

A disk, a driver or a stray write may change a byte that SQLite would never miss. Each entry of the log carries a
CRC-32 (as zlib has it) of its own fields, joined by U+001F, and of what it is about as that was stored with it. So the
last entry about a block or a run proves its row; an entry that a later one has replaced is proved by its place.
"""

from __future__ import annotations

from zlib import crc32

from chatstore.operations.prepared import Row


def of_block(sequence: int, type: int, row: Row) -> int:
    """Of an entry about a block, whose row has the columns of `BLOCK_COLUMNS`. Leases and compaction leave it."""
    _, index, id, kind, role, author, run_id, parent_id, text, data, parts, tags, internal, _, _ = row[:15]
    state, usage, added, created_at, updated_at = row[15:20]
    return crc32(
        f"{sequence}\x1f{type}\x1f{index}\x1f{id}\x1f{kind}\x1f{role}\x1f{author}\x1f{run_id}\x1f{parent_id}\x1f{text}"
        f"\x1f{data}\x1f{parts}\x1f{tags}\x1f{internal:d}\x1f{state}\x1f{usage}\x1f{added}\x1f{created_at}"
        f"\x1f{updated_at}".encode()
    )


def of_text(sequence: int, index: int, offset: int, text: str) -> int:
    """Of a piece of text of an open block."""
    return crc32(f"{sequence}\x1f{index}\x1f{offset}\x1f{text}".encode())


def of_erasure(sequence: int) -> int:
    """Of the entry that says that the history was erased."""
    return crc32(str(sequence).encode())


def of_run(sequence: int, type: int, row: Row) -> int:
    """Of an entry about a run, whose row has the columns of `RUN_COLUMNS`."""
    _, id, parent, state, error, traceback, usage, started_at, ended_at, started = row[:10]
    return crc32(
        f"{sequence}\x1f{type}\x1f{id}\x1f{parent}\x1f{state}\x1f{error}\x1f{traceback}\x1f{usage}\x1f{started_at}"
        f"\x1f{ended_at}\x1f{started}".encode()
    )
