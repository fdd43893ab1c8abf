"""From entries of the log to what is given out of them. No I/O, no clock, and no memory of its own.

A subscription that is late gets the pieces of one block joined. Where several blocks grew at once, joining them
changes the order in which text is given out, and a cursor then says so (see `chatstore.cursor`): each block's part is
given out once, also across resuming at any cursor in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from chatstore.changes import Change, Entry, HistoryErased, TextAppended
from chatstore.cursor import MAX_SPAN, CursorFactory, Position
from chatstore.kinds import Selection

Ready: TypeAlias = tuple[Position, Change]
"""A change to give out, and where that leads."""


def wants(selection: Selection, entry: Entry) -> bool:
    """Whether a change is meant by a selection."""
    if entry.block is not None:
        return selection.matches(entry.block)
    if type(entry.change) is HistoryErased:
        return True  # whatever was wanted of it
    return selection.matches_run(entry.change.run_id)


def ready(entries: Sequence[Entry], start: Position, cursors: CursorFactory) -> list[Ready]:
    """What is given out of entries, in order, to a subscription that started at a position."""
    if len(entries) == 1:
        return [_single(entries[0], start, cursors)]
    found: list[Ready] = []
    for is_text, group in groupby(entries, key=_is_text):
        part = [*group]
        found.extend(_joined(part, start, cursors) if is_text else [_single(entry, start, cursors) for entry in part])
    return found


def place(sequence: int, start: Position) -> Position:
    """A position behind which nothing is half given out, but for what was when the subscription started."""
    return Position(sequence, *start[1:]) if sequence < start.until else Position(sequence)


def _is_text(entry: Entry) -> bool:
    return type(entry.change) is TextAppended


def _single(entry: Entry, start: Position, cursors: CursorFactory) -> Ready:
    position = place(entry.sequence, start)
    if position.until <= position.sequence:
        return position, entry.change
    return position, entry.change.model_copy(update={"cursor": cursors.between(position)})


def _joined(entries: list[Entry], start: Position, cursors: CursorFactory) -> Iterator[Ready]:
    """Text entries as one change for each block, or for each run of pieces where they cannot be sorted."""
    blocks = {entry.change.index for entry in entries if isinstance(entry.change, TextAppended)}
    first, last = entries[0].sequence - 1, entries[-1].sequence
    if len(blocks) > 1 and (first < start.until or last - first > MAX_SPAN):
        for _, run in groupby(entries, key=lambda entry: entry.change.index):  # type: ignore[union-attr]
            pieces = [*run]
            yield _join(pieces, place(pieces[-1].sequence, start), cursors)
        return
    for block in sorted(blocks):
        pieces = [e for e in entries if isinstance(e.change, TextAppended) and e.change.index == block]
        yield _join(pieces, place(last, start) if block == max(blocks) else Position(first, last, block), cursors)


def _join(pieces: list[Entry], position: Position, cursors: CursorFactory) -> Ready:
    change = pieces[0].change
    if len(pieces) == 1 and position == Position(pieces[0].sequence):
        return position, change
    text = "".join(piece.change.text for piece in pieces if isinstance(piece.change, TextAppended))
    return position, change.model_copy(update={"cursor": cursors.between(position), "text": text})
