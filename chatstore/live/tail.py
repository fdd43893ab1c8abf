"""What a subscription knows: where it is, what it wants, what it has ready. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chatstore.changes import Change, Entry, HistoryErased, RunEnded, TextAppended
from chatstore.cursor import CursorFactory, Position
from chatstore.kinds import Selection
from chatstore.live import joining
from chatstore.live.joining import Ready


class Batch(NamedTuple):
    """What lies between two positions, as all subscriptions of one selection share it.

    `ready` is for those that have nothing half given out; the others have to join the entries for themselves.
    """

    after: int
    position: int
    entries: Sequence[Entry]
    ready: Sequence[Ready]


class Tail:
    """The position of a subscription in the log, and the changes it can give out.

    `position` is how far the log was looked through, `handled` what was given out: the first moves on over what the
    filter leaves out, so that a filtered subscription does not read it twice.
    """

    __slots__ = ("_cursors", "_ready", "_start", "_taken", "handled", "over", "position", "selection")

    def __init__(self, selection: Selection, start: Position, cursors: CursorFactory) -> None:
        self.selection: Selection = selection
        self.position: int = start.sequence
        self.handled: Position = start
        self.over: bool = False
        self._start = start
        self._cursors = cursors
        # Often shared with other subscriptions, so it is counted through and never changed.
        self._ready: Sequence[Ready] = ()
        self._taken = 0

    def feed(self, entries: Iterable[Entry], *, selected: bool) -> None:
        """Takes entries behind the position, in order; `selected` says that the filter was applied already."""
        wanted: list[Entry] = []
        for entry in entries:
            if entry.sequence <= self.position:
                continue
            self.position = entry.sequence
            if (selected or joining.wants(self.selection, entry)) and not self._given_before(entry):
                wanted.append(entry)
        self._add(joining.ready(wanted, self._start, self._cursors))

    def accept(self, batch: Batch) -> None:
        """Takes what follows the position, as it was worked out for all that stand there."""
        # It had read on behind the head where others waited: it looks for itself, woken as it is.
        if batch.after != self.position:
            return
        if self.position < self._start.until:
            self.feed(batch.entries, selected=True)
        else:
            self._add(batch.ready)
        self.advance(batch.position)

    def advance(self, position: int) -> None:
        """Nothing more that is wanted lies before this position."""
        if position > self.position:
            self.position = position

    def take(self) -> Change | None:
        """The next change to give out, if one is ready."""
        if not self._ready:
            return None
        self.handled, change = self._ready[self._taken]
        self._taken += 1
        if self._taken == len(self._ready):
            self._ready, self._taken = (), 0
        if type(change) is HistoryErased or (type(change) is RunEnded and change.run.id == self.selection.run):
            self.over = True
        return change

    @property
    def resume_at(self) -> Position:
        """Where to go on later without missing or repeating anything."""
        return self.handled if self._ready else joining.place(self.position, self._start)

    def _add(self, ready: Sequence[Ready]) -> None:
        if self._ready:
            self._ready, self._taken = [*self._ready[self._taken :], *ready], 0
        else:
            self._ready = ready

    def _given_before(self, entry: Entry) -> bool:
        change = entry.change
        return (
            type(change) is TextAppended and entry.sequence <= self._start.until and change.index <= self._start.block
        )
