"""Checksums: 32 bits that prove an entry of the log, and the block or run that it is about.

A disk, a driver or a stray write may change a byte that SQLite would never miss. Each entry of the log carries a
CRC-32 (as zlib has it) of its own fields, joined by U+001F, and of the block or run as it was stored with the entry. So
the last entry about a block or a run proves its row. An entry that replaces an earlier one about the same block or run
has, in the upper half of its checksum, a checksum of that entry: so the last proves them all. A run's end replaces its
start.

Other rows carry checksums of their own: histories (of the columns that appends do not change), append keys, leases, and
what the store says of itself. The counters of a history are proved by the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from chatstore.operations.prepared import Row

HALF: Final = 32
_LOWER: Final = (1 << HALF) - 1
_UPPER: Final = (1 << 31) - 1  # the whole stays below what an integer of the database holds


# Format 2 is these strings to the letter: a change here is a change of the format, and needs a revision that seals
# every store anew (see `tests/migrations/test_checksums.py`).
def of_block(sequence: int, type: int, row: Row) -> int:
    """Of an entry about a block, whose row has the columns of `BLOCK_COLUMNS`. Compaction leaves it as it is."""
    _, index, id, kind, role, author, run_id, parent_id, text, data, parts, tags, internal, _, _ = row[:15]
    state, usage, added, created_at, updated_at, lease = row[15:21]
    return crc32(
        f"{sequence}\x1f{type}\x1f{index}\x1f{id}\x1f{kind}\x1f{role}\x1f{author}\x1f{run_id}\x1f{parent_id}\x1f{text}"
        # `:d`, for SQLite gives 0 or 1 here and PostgreSQL a boolean.
        f"\x1f{data}\x1f{parts}\x1f{tags}\x1f{internal:d}\x1f{state}\x1f{usage}\x1f{added}\x1f{created_at}"
        f"\x1f{updated_at}{_held(lease)}".encode()
    )


def replacing(checksum: int, sequence: int, replaced: int) -> int:
    """The checksum of an entry that replaces another, whose number and checksum go into its upper half."""
    return checksum | of_replaced(sequence, replaced) << HALF


def of_replaced(sequence: int, checksum: int) -> int:
    """Of an entry that a later one replaces."""
    return crc32(f"{sequence}\x1f{checksum & _LOWER}".encode()) & _UPPER


def halves(checksum: int) -> tuple[int, int]:
    """The two halves of a checksum: of the entry with its row, and of the entry that was replaced."""
    return checksum & _LOWER, checksum >> HALF


def of_text(sequence: int, index: int, offset: int, text: str) -> int:
    """Of a piece of text of an open block."""
    return crc32(f"{sequence}\x1f{index}\x1f{offset}\x1f{text}".encode())


def of_erasure(sequence: int) -> int:
    """Of the entry that says that the history was erased."""
    return crc32(str(sequence).encode())


def of_run(sequence: int, type: int, row: Row) -> int:
    """Of an entry about a run, whose row has the columns of `RUN_COLUMNS`."""
    _, id, parent, state, error, traceback, usage, started_at, ended_at, started, lease = row
    return crc32(
        f"{sequence}\x1f{type}\x1f{id}\x1f{parent}\x1f{state}\x1f{error}\x1f{traceback}\x1f{usage}\x1f{started_at}"
        f"\x1f{ended_at}\x1f{started}{_held(lease)}".encode()
    )


def of_left(sequence: int, type: int, about: int | str) -> int:
    """Of an entry that retention leaves when it removes the block (its index) or the run (its id) it is about."""
    return crc32(f"{sequence}\x1f{type}\x1f{about}".encode())


def of_history(
    context_id: str,
    keys: str | None,
    tags: str | None,
    first: int,
    first_index: int,
    erased: int | None,
    created_at: int,
    settled_at: int | None,
) -> int:
    """Of a history's row, but for its number and its counters."""
    return crc32(
        f"{context_id}\x1f{keys}\x1f{tags}\x1f{first}\x1f{first_index}\x1f{erased is None}\x1f{created_at}"
        f"\x1f{settled_at}".encode()
    )


def of_key(history_id: int, key: str, digest: bytes, first_index: int, count: int) -> int:
    """Of the row of an append key."""
    return crc32(f"{history_id}\x1f{key}\x1f{digest.hex()}\x1f{first_index}\x1f{count}".encode())


def of_lease(machine: str, pid: int, started: int, seconds: int) -> int:
    """Of a lease's row, but for its number and its beats."""
    return crc32(f"{machine}\x1f{pid}\x1f{started}\x1f{seconds}".encode())


def of_info(name: str, value: str) -> int:
    """Of what a store says of itself."""
    return crc32(f"{name}\x1f{value}".encode())


def numbered(checksum: int, id: int) -> int:
    """A row's checksum with its number, which the database chooses as it writes both, in the upper half."""
    return checksum + (id << HALF)


def checked(function: Callable[..., int], *values: Any) -> int | None:
    """A checksum; None of values that nobody can have written."""
    try:
        return function(*values)
    except (TypeError, ValueError, AttributeError):  # a UnicodeEncodeError, too: of text that is no UTF-8
        return None


def _held(lease: int | None) -> str:
    return "" if lease is None else f"\x1f{lease}"
