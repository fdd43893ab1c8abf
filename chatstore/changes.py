"""Changes: the entries of a context's log, as a union for `match`."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from chatstore.cursor import Cursor, tombstone
from chatstore.model import Block, Model, Run


class _BlockChange(Model):
    context_id: str
    cursor: Cursor
    block: Block

    @property
    def block_id(self) -> str:
        """The block's id."""
        return self.block.id

    @property
    def index(self) -> int:
        """The block's place in the history."""
        return self.block.index

    @property
    def type(self) -> str:
        """The block's type."""
        return self.block.type

    @property
    def role(self) -> str | None:
        """The block's role."""
        return self.block.role

    @property
    def author(self) -> str | None:
        """Who wrote the block."""
        return self.block.author

    @property
    def run_id(self) -> str | None:
        """The run the block belongs to."""
        return self.block.run_id


class BlockAdded(_BlockChange):
    """A block was appended, or opened. A late subscription sees it as it is now; the text of an open one follows."""


class BlockUpdated(_BlockChange):
    """Tags or usage of a block were set; `block` is the whole block."""


class BlockClosed(_BlockChange):
    """An open block ended; `block` has the whole text, and in `state` how it ended."""


class TextAppended(Model):
    """An open block grew: `text` stands at `offset` characters of it.

    Apply it as `text = text[:offset] + change.text`. A late subscription gets several pieces of a block as one.
    """

    context_id: str
    cursor: Cursor
    block_id: str
    index: int
    type: str
    role: str | None
    author: str | None
    run_id: str | None
    offset: int
    text: str


class _RunChange(Model):
    context_id: str
    cursor: Cursor
    run: Run

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.id


class RunStarted(_RunChange):
    """A run began. A late subscription sees it as it is now."""


class RunEnded(_RunChange):
    """A run ended: `run.state` says how, and none of its blocks is open any more."""


class HistoryErased(Model):
    """The context was erased: nothing of it is left, and no change follows.

    In the subscription of a whole store `context_id` is only a digest; `concerns` tells whether it is that of a name.
    """

    context_id: str
    cursor: Cursor

    @property
    def run_id(self) -> None:
        """It belongs to no run."""
        return None

    def concerns(self, context_id: str) -> bool:
        """Whether this is the context that was erased."""
        return self.context_id in (context_id, tombstone(context_id))


BlockChange: TypeAlias = BlockAdded | BlockUpdated | BlockClosed
RunChange: TypeAlias = RunStarted | RunEnded
Change: TypeAlias = BlockChange | TextAppended | RunChange | HistoryErased
"""Any entry of the log. `cursor` is the position behind it: resume there once it is handled."""


class Entry(NamedTuple):
    """A change as it is handed about inside: its number, and the block that filters look at (None: about a run)."""

    sequence: int
    change: Change
    block: Block | None
