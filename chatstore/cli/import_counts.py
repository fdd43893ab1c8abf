"""What an import did, in figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chatstore.model import BlockDraft
from chatstore.recorders import Put


@dataclass
class Counts:
    """What an import did; `text` is bytes: of the texts of the blocks that are new and of their parts."""

    conversations: int = 0
    messages: int = 0
    blocks: int = 0
    text: int = 0
    stored_before: int = 0
    empty: int = 0
    refused: int = 0

    def told(self, seconds: float, growth: int) -> Iterator[str]:
        """As lines for a person; `growth`: the bytes that it took on the disk."""
        yield (
            f"imported {self.conversations:,} conversations: {self.messages:,} messages, {self.blocks:,} blocks,"
            f" {self.text:,} bytes of text in {seconds:.1f} s"
        )
        if self.text and growth > 0:
            yield f"on disk {growth:,} bytes: {growth / self.text:.2f} per byte of text"
        for count, what in (
            (self.stored_before, "stored before, and left as they are"),
            (self.empty, "without messages, and left out"),
            (self.refused, "refused"),
        ):
            if count:
                yield f"{count:,} {what}"


def bytes_of_text(draft: BlockDraft | Put) -> int:
    """The bytes of a block's text and of its parts."""
    parts = sum(len(part.content or b"") + len((part.text or "").encode()) for part in draft.parts)
    return parts + len(draft.text.encode())
