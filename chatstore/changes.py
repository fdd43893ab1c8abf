"""Changes: the entries of a context's log, as a union for `match`."""

from __future__ import annotations

from typing import TypeAlias

from chatstore.cursor import Cursor
from chatstore.model import Block, Model


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
    """A block was appended. Who joins late sees it as it is now, with what was changed since."""


class BlockUpdated(_BlockChange):
    """Tags or usage of a block were set; `block` is the whole block."""


Change: TypeAlias = BlockAdded | BlockUpdated
"""Any entry of the log. `cursor` is the position behind it: resume there once it is handled."""
