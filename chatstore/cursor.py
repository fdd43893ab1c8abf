"""Cursors: positions in the log of one context, as text.

A cursor reads `<store>-<context>-<sequence>`: twelve hexadecimal digits of the store's random identity, twelve of
a digest of the context id, and twelve decimal digits. So it is safe in a URL, a header and an SSE `id:` line, it
orders as text within its context, and it is refused anywhere but in the store and context it came from. The
digest depends on the context id alone: a cursor can be had before the history exists.

Where several blocks grow at once and somebody is late, the pieces of each are joined, and no single number says
what has been handled. Such a cursor goes on with `.<span>.<block>`: everything up to the sequence, and of the next
`span` entries the text of the blocks with this index or a lower one.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple, NewType, Protocol

from chatstore.errors import CursorExpired, InvalidCursor

Cursor = NewType("Cursor", str)
"""A position in the log of one context: opaque, safe in a URL, ordered as text within its context."""

NOW = "now"
"""What `subscribe(after=…)` takes for "from the head on"."""

IDENTITY_BYTES = 6
MAX_SPAN = 99_999
_PATTERN = re.compile(r"([0-9a-f]{12})-([0-9a-f]{12})-([0-9]{12})(?:\.([0-9]{5})\.([0-9]{12}))?", re.ASCII)


# A place may grow beyond the sixteen digits that it is filled up to: a server's has the number of a transaction in it.
_STORE_PATTERN = re.compile(r"([0-9a-f]{12})-([0-9]{16,19})", re.ASCII)


class Position(NamedTuple):
    """Where a cursor stands: behind the change `sequence`, and up to `until` behind the text of blocks to `block`."""

    sequence: int
    until: int = 0
    block: int = -1


def context_mark(context_id: str) -> str:
    """The twelve hexadecimal digits that stand for a context in its cursors."""
    return blake2b(context_id.encode(), digest_size=IDENTITY_BYTES).hexdigest()


def tombstone(context_id: str) -> str:
    """What is left of the name of an erased context: NUL, which no name has, its mark, and 32 digits of a digest.

    A key for the digest would have to be in the file too, and stay the same in its backups: who guesses has it as well.
    """
    return f"\0{context_mark(context_id)}{blake2b(context_id.encode(), digest_size=16).hexdigest()}"


class Before(Protocol):
    """Knows the stores that this one was copied from."""

    def copied(self, identity: str, context_id: str) -> int | None:
        """Up to which change a context is that store's; None: this is no copy of it."""

    def place(self, identity: str, place: int) -> int | None:
        """Where in the whole store's log to go on behind a place in that store's; 0: at the beginning."""


class CursorFactory:
    """Makes and reads the cursors of one context of one store, named by its id or what is left of that."""

    __slots__ = ("_before", "_context_id", "_prefix")

    def __init__(self, store_identity: str, context_id: str, before: Before | None = None) -> None:
        mark = context_id[1:13] if context_id.startswith("\0") else context_mark(context_id)
        self._prefix = f"{store_identity}-{mark}-"
        self._context_id = context_id
        self._before = before

    def at(self, sequence: int) -> Cursor:
        """The cursor of the change with this number; 0 is before the first."""
        return Cursor(f"{self._prefix}{sequence:012d}")

    def between(self, position: Position) -> Cursor:
        """The cursor of any position."""
        if position.until <= position.sequence:
            return self.at(position.sequence)
        span = position.until - position.sequence
        return Cursor(f"{self._prefix}{position.sequence:012d}.{span:05d}.{position.block:012d}")

    def sequence(self, cursor: str) -> int:
        """The number up to which everything lies before a cursor."""
        return self.position(cursor).sequence

    def position(self, cursor: str) -> Position:
        """Where a cursor stands. Raises InvalidCursor, which says in what way it is wrong, and CursorExpired for one
        of a store that this one was copied from."""
        match = _PATTERN.fullmatch(cursor) if isinstance(cursor, str) else None
        if match is None:
            raise InvalidCursor(f"{_shown(cursor)} is not a cursor; pass one that a change, a block or head() gave")
        store, context, sequence, span, block = match.groups()
        position = Position(int(sequence))
        if span is not None:
            position = Position(int(sequence), int(sequence) + int(span), int(block))
        if store != self._prefix[:12]:
            self._refuse(store, context, position)
        if context != self._prefix[13:25]:
            raise InvalidCursor("the cursor belongs to another context of this store; use it with that one")
        return position

    def _refuse(self, store: str, context: str, position: Position) -> None:
        ours = context == self._prefix[13:25]
        copied = self._before.copied(store, self._context_id) if ours and self._before is not None else None
        if copied is None:
            raise InvalidCursor(
                "the cursor belongs to another store, or to this one before it was deleted and created anew;"
                " read the history again from the beginning"
            )
        kept = max(position.sequence, position.until) <= copied
        start = self.between(position) if kept else self.at(min(position.sequence, copied))
        raise CursorExpired(
            "the cursor belongs to the store that this one was copied from; go on from the error's `start`"
            + ("" if kept else ", where the copy ends: what that store went on with is not here"),
            start=start,
        )


class StoreCursors:
    """Makes and reads the cursors of a whole store's log: the store's identity and sixteen digits or more."""

    def __init__(self, store_identity: str, before: Before | None = None) -> None:
        self._identity = store_identity
        self._before = before

    def at(self, position: int) -> Cursor:
        """The cursor of a place in the store's log."""
        return Cursor(f"{self._identity}-{position:016d}")

    def position(self, cursor: str) -> int:
        """The place of a cursor. Raises InvalidCursor, which says in what way it is wrong, and CursorExpired for one of
        a store that this one was copied from."""
        match = _STORE_PATTERN.fullmatch(cursor) if isinstance(cursor, str) else None
        if match is None:
            raise InvalidCursor(f"{_shown(cursor)} is not a cursor of a store; pass one of a store's subscription")
        if match[1] != self._identity:
            self._refuse(match[1], int(match[2]))
        return int(match[2])

    def _refuse(self, store: str, place: int) -> None:
        start = None if self._before is None else self._before.place(store, place)
        if start is None:
            raise InvalidCursor("the cursor belongs to another store; follow this one from the beginning")
        raise CursorExpired(
            "the cursor belongs to the store that this one was copied from; go on from the error's `start`"
            + ("" if start else ", the beginning: the copy's log is in the same order, and its places are others"),
            start=self.at(start),
        )


def is_cursor(text: str) -> bool:
    """Whether text has the form of a cursor."""
    return _PATTERN.fullmatch(text) is not None


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def beginning(cursor: str) -> Cursor:
    """The cursor before the first change of the context that a cursor belongs to."""
    return Cursor(f"{cursor[:26]}{0:012d}")
