"""What a subscription knows: where it is, what it wants, what it has ready. No I/O, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from chatstore.changes import Change
from chatstore.kinds import Selection
from chatstore.live.channel import Entry


class Tail:
    """The position of a subscription in the log, and the changes it can give out.

    `position` is how far the log was looked through, `handled` the last change given out: the first moves on over
    what the filter leaves out, so that a filtered subscription does not read it twice.
    """

    __slots__ = ("_ready", "handled", "position", "selection")

    def __init__(self, selection: Selection, position: int) -> None:
        self.selection = selection
        self.position = position
        self.handled = position
        self._ready: deque[Entry] = deque()

    def feed(self, entries: Iterable[Entry], *, selected: bool) -> None:
        """Takes entries behind the position, in order; `selected` says that the filter was applied already."""
        for sequence, change in entries:
            if sequence <= self.position:
                continue
            self.position = sequence
            if selected or self.selection.matches(change.block):
                self._ready.append((sequence, change))

    def advance(self, position: int) -> None:
        """Nothing more that is wanted lies before this position."""
        self.position = max(self.position, position)

    def take(self) -> Change | None:
        """The next change to give out, if one is ready."""
        if not self._ready:
            return None
        self.handled, change = self._ready.popleft()
        return change

    @property
    def resume_at(self) -> int:
        """Where to go on later without missing or repeating anything."""
        return self.handled if self._ready else self.position
