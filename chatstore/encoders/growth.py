"""What changes say of each block, whatever the cursor they start from: it begins, grows, ends, is marked.

Of each block come one Begun, then Grown whose pieces make up its text, then one Ended, and nothing twice:

- Who is late is given a finished block by its BlockAdded, and its BlockClosed later: the second says nothing new.
- A block whose beginning the changes do not show is told whole once they show it whole.
- Who knows blocks already, as they were read (`know`), is told what follows, also where changes overlap with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from chatstore.changes import BlockAdded, BlockClosed, BlockUpdated, Change, TextAppended
from chatstore.model import Block, JsonValue


class Begun(NamedTuple):
    """A block is there; what it says follows."""

    block: Block


class Grown(NamedTuple):
    """A block's text goes on."""

    block: Block
    text: str


class Ended(NamedTuple):
    """A block is finished, and all of its text was told."""

    block: Block


class Marked(NamedTuple):
    """Tags or usage of a block were set."""

    block: Block


Step: TypeAlias = Begun | Grown | Ended | Marked


@dataclass(slots=True)
class Growing:
    """A block that has begun and not ended, and how many characters of its text were told."""

    block: Block
    told: int


class Growth:
    """Which blocks were told, and how much of those that still grow.

    Blocks are added in the order of their index. So two numbers say which were told: those from `_first` on, where this
    began, up to `_next`, which is still to come.
    """

    def __init__(self) -> None:
        self.growing: dict[int, Growing] = {}
        self._first: int | None = None
        self._next = 0

    def steps(self, change: Change) -> Sequence[Step]:
        """What a change says that was not told before."""
        match change:
            case BlockAdded(block=block):
                return self._added(block)
            case TextAppended():
                return self._text(change)
            case BlockClosed(block=block):
                return self._closed(block)
            case BlockUpdated(block=block):
                return (Marked(block),)
        return ()

    def know(self, blocks: Iterable[Block]) -> None:
        """Takes blocks of the history as told, up to the last of them and as far as their text goes."""
        self._first = 0
        for block in blocks:
            self._next = max(self._next, block.index + 1)
            if block.state == "open":
                self.growing[block.index] = Growing(block, len(block.text))

    def state(self) -> list[JsonValue]:
        """Where this stands, as JSON."""
        return [self._first, self._next, {str(index): one.told for index, one in self.growing.items()}]

    def restore(self, state: Sequence[JsonValue], blocks: Iterable[Block]) -> None:
        """Goes on where another stood. `blocks` has those that were growing, as they are now."""
        self._first, self._next, told = state
        self._grow_on(told, blocks)

    def _grow_on(self, told: Mapping[str, int], blocks: Iterable[Block]) -> None:
        for block in blocks:
            if (length := told.get(str(block.index))) is not None:
                header = block.model_copy(update={"text": block.text[:length], "state": "open"})
                self.growing[block.index] = Growing(header, length)

    def _added(self, block: Block) -> Sequence[Step]:
        if block.index < self._next:
            return ()
        self._next = block.index + 1
        if self._first is None:
            self._first = block.index
        if block.state != "open":
            return _whole(block)
        self.growing[block.index] = Growing(block, len(block.text))
        return (Begun(block), Grown(block, block.text)) if block.text else (Begun(block),)

    def _text(self, change: TextAppended) -> Sequence[Step]:
        known = self.growing.get(change.index)
        if known is None or change.offset > known.told:
            return ()
        text = change.text[known.told - change.offset :]
        known.told += len(text)
        return (Grown(known.block, text),) if text else ()

    def _closed(self, block: Block) -> Sequence[Step]:
        known = self.growing.pop(block.index, None)
        if known is None:
            return () if self._first is not None and block.index >= self._first else _whole(block)
        rest = block.text[known.told :]
        return (Grown(block, rest), Ended(block)) if rest else (Ended(block),)


def _whole(block: Block) -> Sequence[Step]:
    return (Begun(block), Grown(block, block.text), Ended(block)) if block.text else (Begun(block), Ended(block))
