"""What a subscription knows: where it is, what it wants, what it has ready. No I/O, no clock.

Who is late gets the pieces of one block joined. Where several blocks grew at once, joining them changes the order
in which text is given out, and a cursor then says so (see `chatstore.cursor`): each block's part is given out once,
also across resuming at any cursor in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from chatstore.changes import Change, Entry, RunEnded, TextAppended
from chatstore.cursor import MAX_SPAN, CursorFactory, Position
from chatstore.kinds import Selection


class Tail:
    """The position of a subscription in the log, and the changes it can give out.

    `position` is how far the log was looked through, `handled` what was given out: the first moves on over what the
    filter leaves out, so that a filtered subscription does not read it twice.
    """

    __slots__ = ("_cursors", "_ready", "_start", "handled", "over", "position", "selection")

    def __init__(self, selection: Selection, start: Position, cursors: CursorFactory) -> None:
        self.selection = selection
        self.position = start.sequence
        self.handled = start
        self.over = False
        self._start = start
        self._cursors = cursors
        self._ready: deque[tuple[Position, Change]] = deque()

    def feed(self, entries: Iterable[Entry], *, selected: bool) -> None:
        """Takes entries behind the position, in order; `selected` says that the filter was applied already."""
        wanted: list[Entry] = []
        for entry in entries:
            if entry.sequence <= self.position:
                continue
            self.position = entry.sequence
            if (selected or self._wants(entry)) and not self._given_before(entry):
                wanted.append(entry)
        for is_text, group in groupby(wanted, key=lambda entry: type(entry.change) is TextAppended):
            part = [*group]
            self._ready.extend(self._joined(part) if is_text else self._single(part))

    def advance(self, position: int) -> None:
        """Nothing more that is wanted lies before this position."""
        self.position = max(self.position, position)

    def take(self) -> Change | None:
        """The next change to give out, if one is ready."""
        if not self._ready:
            return None
        self.handled, change = self._ready.popleft()
        if type(change) is RunEnded and change.run.id == self.selection.run:
            self.over = True
        return change

    @property
    def resume_at(self) -> Position:
        """Where to go on later without missing or repeating anything."""
        if self._ready:
            return self.handled
        return self._at(self.position)

    def _wants(self, entry: Entry) -> bool:
        if entry.block is not None:
            return self.selection.matches(entry.block)
        return self.selection.matches_run(entry.change.run_id)

    def _given_before(self, entry: Entry) -> bool:
        change = entry.change
        return (
            type(change) is TextAppended and entry.sequence <= self._start.until and change.index <= self._start.block
        )

    def _at(self, sequence: int) -> Position:
        """A position behind which nothing is half given out, but for what was when the subscription started."""
        return Position(sequence, *self._start[1:]) if sequence < self._start.until else Position(sequence)

    def _single(self, entries: Iterable[Entry]) -> Iterator[tuple[Position, Change]]:
        for entry in entries:
            position = self._at(entry.sequence)
            change = entry.change
            if position.until > position.sequence:
                change = change.model_copy(update={"cursor": self._cursors.between(position)})
            yield position, change

    def _joined(self, entries: list[Entry]) -> Iterator[tuple[Position, Change]]:
        """Text entries as one change for each block, or for each run of pieces where they cannot be sorted."""
        blocks = {entry.change.index for entry in entries if isinstance(entry.change, TextAppended)}
        first, last = entries[0].sequence - 1, entries[-1].sequence
        if len(blocks) > 1 and (first < self._start.until or last - first > MAX_SPAN):
            for _, run in groupby(entries, key=lambda entry: entry.change.index):  # type: ignore[union-attr]
                yield self._join([*run], None)
            return
        for block in sorted(blocks):
            pieces = [e for e in entries if isinstance(e.change, TextAppended) and e.change.index == block]
            yield self._join(pieces, None if block == max(blocks) else Position(first, last, block), last)

    def _join(self, pieces: list[Entry], position: Position | None, last: int = 0) -> tuple[Position, Change]:
        place = self._at(max(pieces[-1].sequence, last)) if position is None else position
        change = pieces[0].change
        text = "".join(piece.change.text for piece in pieces if isinstance(piece.change, TextAppended))
        if len(pieces) == 1 and place == Position(pieces[0].sequence):
            return place, change
        return place, change.model_copy(update={"cursor": self._cursors.between(place), "text": text})
