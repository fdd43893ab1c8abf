"""From changes back to blocks."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore.changes import Change, TextAppended
from chatstore.model import Block


def collect(changes: Iterable[Change]) -> list[Block]:
    """The blocks that changes are about, in order of context and index, as they are after the last of them.

    Of a block that is still open the text is what has come so far. A block whose beginning the changes do not show
    is there once they show it whole.
    """
    blocks: dict[tuple[str, int], Block] = {}
    for change in changes:
        if isinstance(change, TextAppended):
            place = (change.context_id, change.index)
            if place in blocks:
                blocks[place] = with_text(blocks[place], change)
        elif (block := getattr(change, "block", None)) is not None:
            place = (block.context_id, block.index)
            before = blocks.get(place)
            if block.state == "open" and before is not None:  # an update of a block that still grows has no text
                block = block.model_copy(update={"text": before.text})
            blocks[place] = block
    return [blocks[place] for place in sorted(blocks)]


def with_text(block: Block, change: TextAppended) -> Block:
    """A block after a piece of text was appended to it."""
    return block.model_copy(update={"text": block.text[: change.offset] + change.text})
