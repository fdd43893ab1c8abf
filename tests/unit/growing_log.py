"""A log of blocks that grow, in memory: what a reader of the database, or of a commit, would be given of it."""

from __future__ import annotations

from datetime import UTC, datetime

from chatstore import Block, BlockAdded, BlockClosed, BlockUpdated, TextAppended
from chatstore.changes import Entry
from chatstore.cursor import CursorFactory
from chatstore.kinds import Selection

CURSORS = CursorFactory("0123456789ab", "c")
_TIME = datetime(2026, 1, 2, tzinfo=UTC)


def made(index: int, text: str = "", state: str = "open", sequence: int = 0) -> Block:
    """A block; its author is its index."""
    fields = dict.fromkeys(("run_id", "parent_id", "data", "usage"))
    named = {"id": f"id-{index}", "context_id": "c", "type": "message", "role": "assistant", "author": str(index)}
    times = {"created_at": _TIME, "updated_at": _TIME}
    rest = {"parts": (), "tags": (), "internal": False, "cursor": CURSORS.at(sequence)}
    return Block.model_construct(**fields, **named, **times, **rest, index=index, text=text, state=state)


def piece(sequence: int, index: int, offset: int, text: str) -> Entry:
    """A piece of a block."""
    block = made(index)
    change = TextAppended.model_construct(
        context_id="c",
        cursor=CURSORS.at(sequence),
        block_id=block.id,
        index=index,
        type=block.type,
        role=block.role,
        author=block.author,
        run_id=None,
        offset=offset,
        text=text,
    )
    return Entry(sequence, change, block)


class GrowingLog:
    """Blocks that are opened, grow and end by the steps it is given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.texts: dict[int, str] = {}
        self.ends: dict[int, int] = {}

    def step(self, what: str, index: int) -> None:
        """Does something to a block that has not ended; opens it first."""
        if index in self.ends:
            return
        if index not in self.texts:
            self.texts[index] = ""
            self._add(BlockAdded, made(index))
        elif what == "end":
            self.ends[index] = len(self.entries) + 1
            self._add(BlockClosed, made(index, self.texts[index], "closed"))
        elif what == "update":
            self._add(BlockUpdated, made(index))
        else:
            text = f"{index}.{len(self.entries)} "
            self.entries.append(piece(len(self.entries) + 1, index, len(self.texts[index]), text))
            self.texts[index] += text

    def page(self, after: int, end: int, now: int, selection: Selection) -> list[Entry]:
        """What the database gives when the log has `now` entries: blocks as they are, no pieces of finished ones."""
        found = []
        for entry in self.entries[after:end]:
            assert entry.block is not None
            if not selection.matches(entry.block):
                continue
            ended = self.ends.get(entry.block.index, now + 1) <= now
            if isinstance(entry.change, BlockAdded) and ended:
                block = made(entry.block.index, self.texts[entry.block.index], "closed")
                entry = Entry(entry.sequence, entry.change.model_copy(update={"block": block}), block)
            if not (ended and isinstance(entry.change, TextAppended)):
                found.append(entry)
        return found

    def _add(self, kind: type[BlockAdded] | type[BlockUpdated] | type[BlockClosed], block: Block) -> None:
        sequence = len(self.entries) + 1
        change = kind.model_construct(context_id="c", cursor=CURSORS.at(sequence), block=block)
        self.entries.append(Entry(sequence, change, block))
