"""Changes printed as they come: for people, text that grows in its place; for programs, JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Protocol

from chatstore.changes import (
    BlockAdded,
    BlockClosed,
    BlockUpdated,
    Change,
    HistoryErased,
    RunEnded,
    RunStarted,
    TextAppended,
)
from chatstore.cli.growing import GrowingText
from chatstore.cli.output import Output
from chatstore.cli.render import INDENT, Renderer
from chatstore.model import Block
from chatstore.wire.changes import to_object


class Printer(Protocol):
    """Prints changes."""

    @property
    def printed(self) -> Mapping[str, int]:
        """The open blocks by id, and how many characters of each were printed."""

    @property
    def crowded(self) -> bool:
        """Whether several blocks are growing at once: they read better in larger pieces."""

    def show(self, changes: Sequence[Change], cursor: str) -> None:
        """Prints changes that lie next to each other; `cursor` is behind the last."""

    def end(self) -> bool:
        """Ends what is on an unfinished line; whether there was one."""


class JsonPrinter:
    """A change a line; with `cursors` also the store's own, to resume at."""

    printed: Mapping[str, int] = {}
    crowded = False

    def __init__(self, output: Output, *, cursors: bool) -> None:
        self._output = output
        self._cursors = cursors

    def show(self, changes: Sequence[Change], cursor: str) -> None:
        """Prints each."""
        for change in changes:
            own = {"store_cursor": cursor} if self._cursors else {}
            self._output.json({**to_object(change), **own})

    def end(self) -> bool:
        """No line is ever unfinished."""
        return False


class ChangePrinter:
    """Prints what a person reads: each block once, and one that grows as far as it has come.

    One block at a time has the unfinished line. When something else comes in between, the line ends, and the text
    goes on with a line that names its block. `printed`: of blocks that were growing when an earlier command ended.
    """

    def __init__(
        self,
        output: Output,
        *,
        full: bool = False,
        contexts: bool = False,
        mark_open: bool = False,
        printed: Mapping[str, int] | None = None,
    ) -> None:
        self.printed: dict[str, int] = dict(printed or {})
        self.crowded: bool = False
        self._output = output
        self._full = full
        self._contexts = contexts
        self._mark_open = mark_open
        self._first_added: dict[str, int] = {}
        self._text: GrowingText | None = None
        self._writing: str | None = None
        self._last_written: str | None = None

    def show(self, changes: Sequence[Change], cursor: str) -> None:
        """Prints changes, with the pieces of each block joined."""
        growing = {change.block_id for change in changes if isinstance(change, TextAppended)}
        others = {self._last_written} & self.printed.keys()
        for change in joined(changes, self._writing):
            self._show(change)
        self.crowded = bool(growing) and len(growing | others) > 1

    def end(self) -> bool:
        """Ends the unfinished line."""
        text, self._text, self._writing = self._text, None, None
        rest = "" if text is None else text.end(self._output.width)
        self._output.write(rest)
        return rest != ""

    def _show(self, change: Change) -> None:
        match change:
            case TextAppended():
                self._grown(change)
            case BlockAdded():
                self._added(change.block)
            case BlockClosed():
                self._closed(change.block)
            case BlockUpdated():
                self.end()
                self._output.text(self._renderer.updated(change.block))
            case RunStarted():
                self.end()
                self._output.text(self._renderer.run_started(change.run))
            case RunEnded():
                self.end()
                self._output.text(self._renderer.run_ended(change.run))
            case HistoryErased():
                self.end()
                self._output.text(self._renderer.erased(change.context_id))

    def _added(self, block: Block) -> None:
        self.end()
        self._first_added.setdefault(block.context_id, block.index)
        if block.state != "open":
            self._output.text(self._renderer.block(block))
            return
        self._output.text(self._renderer.opened(block, marked=self._mark_open))
        self.printed[block.id] = 0
        self._writing, self._text = block.id, GrowingText()

    def _grown(self, change: TextAppended) -> None:
        if change.block_id not in self.printed and self._was_whole(change.context_id, change.index):
            return
        # By characters and not by changes: of text that came late pieces are joined, and may begin before what was
        # printed.
        before = self.printed.get(change.block_id, change.offset)
        self._write(change, change.text[max(0, before - change.offset) :])
        self.printed[change.block_id] = max(before, change.offset + len(change.text))

    def _closed(self, block: Block) -> None:
        before = self.printed.pop(block.id, None)
        if before is None:
            if not self._was_whole(block.context_id, block.index):
                self.end()
                self._output.text(self._renderer.block(block))
            return
        self._write(block, block.text[before:])
        if self._writing == block.id:
            self.end()
        if block.state != "closed":
            self.end()
            self._output.text(self._renderer.ended(block))

    def _was_whole(self, context_id: str, index: int) -> bool:
        """Whether a block that is not growing was printed when it was added: as finished, for that was late."""
        first = self._first_added.get(context_id)
        return first is not None and index >= first

    def _write(self, of: Block | TextAppended, text: str) -> None:
        if not text:
            return
        block_id = of.id if isinstance(of, Block) else of.block_id
        if self._text is None or self._writing != block_id:
            self.end()
            head = self._renderer.continuation(of.index, of.author, of.context_id)
            self._output.text(head, end="")
            self._text = GrowingText(head.plain[INDENT:])
        self._writing = self._last_written = block_id
        self._output.write(self._text.add(text, self._output.width))

    @property
    def _renderer(self) -> Renderer:
        # The width is asked for each time: a window may be resized while it is followed.
        return Renderer(self._output.width, full=self._full, contexts=self._contexts)


def joined(changes: Iterable[Change], first: str | None = None) -> Iterator[Change]:
    """Changes with the pieces of each block that lie between two others joined; those of the block `first` lead."""
    for _, group in groupby(changes, key=lambda change: isinstance(change, TextAppended)):
        pieces: dict[str, TextAppended] = {}
        for change in group:
            if not isinstance(change, TextAppended):
                yield change
            elif (before := pieces.get(change.block_id)) is None:
                pieces[change.block_id] = change
            else:
                pieces[change.block_id] = before.model_copy(update={"text": before.text + change.text})
        yield from sorted(pieces.values(), key=lambda change: change.block_id != first)
