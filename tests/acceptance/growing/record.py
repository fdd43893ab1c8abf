"""What a follower handled, change by change, in a file that outlives a kill; and whether it was all, once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chatstore import BlockAdded, BlockClosed, Change, TextAppended


class Handled(NamedTuple):
    """One change as it was noted."""

    context_id: str
    cursor: str
    what: str
    index: int
    author: str
    type: str
    state: str
    offset: int
    text: str


class Record:
    """A file to which each change goes with one write, before the next change is taken.

    A kill may tear that write, where it crosses a page: the change was not handled then, and what is there of it goes.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        written = os.pread(self._file, os.fstat(self._file).st_size, 0)
        os.ftruncate(self._file, written.rfind(b"\n") + 1)

    def note(self, change: Change) -> None:
        """Keeps a change."""
        os.write(self._file, f"{json.dumps(_handled(change))}\n".encode())

    def close(self) -> None:
        os.close(self._file)


def read(path: Path | str) -> Iterator[Handled]:
    """What is in such a file."""
    if Path(path).exists():
        # Read at once, for it is being written: the last line may not be whole yet, and would go on as if it were two.
        *whole, _ = Path(path).read_text().split("\n")
        yield from (Handled(*json.loads(line)) for line in whole)


def _handled(change: Any) -> Handled:
    about = (type(change).__name__, change.index, change.author, change.type)
    if isinstance(change, TextAppended):
        return Handled(change.context_id, change.cursor, *about, "open", change.offset, change.text)
    return Handled(change.context_id, change.cursor, *about, change.block.state, 0, change.block.text)


class Growth:
    """One block as a follower saw it grow: each piece behind the last, and nothing twice."""

    def __init__(self, added: Handled) -> None:
        self.added = added
        self.text = added.text
        self.state = added.state
        self.changes = 1
        self.ended = False

    def apply(self, change: Handled) -> None:
        """Takes a change. The end of a block brings the whole text, whatever came before; nothing else repeats any."""
        assert not self.ended, f"a change behind the end of the block: {change}"
        self.changes += 1
        if change.what == TextAppended.__name__:
            assert self.state == "open", f"text for a block that was given whole: {change}"
            assert change.offset == len(self.text), f"not at the end of {len(self.text)} characters: {change}"
            assert change.text
            self.text += change.text
            return
        assert change.what == BlockClosed.__name__, change
        assert change.text.startswith(self.text), f"other text than was given out before: {change}"
        self.text, self.state, self.ended = change.text, change.state, True


def grown(changes: Iterator[Handled]) -> dict[tuple[str, int], Growth]:
    """The blocks as they are after all changes, each cursor above the last of its context."""
    blocks: dict[tuple[str, int], Growth] = {}
    last: dict[str, str] = {}
    for change in changes:
        assert change.cursor > last.get(change.context_id, ""), f"not behind {last[change.context_id]}: {change}"
        last[change.context_id] = change.cursor
        place = (change.context_id, change.index)
        if change.what == BlockAdded.__name__:
            assert place not in blocks, f"a block added twice: {change}"
            assert change.index == sum(context_id == change.context_id for context_id, _ in blocks), change
            blocks[place] = Growth(change)
        else:
            blocks[place].apply(change)
    return blocks
