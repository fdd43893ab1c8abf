"""Readers of one block: its header at once, its text as it comes, and the finished block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from chatstore.changes import BlockAdded, BlockClosed, Change, HistoryErased, TextAppended
from chatstore.errors import ContextErased, StoreClosed
from chatstore.live.subscription import AsyncSubscription, Subscription
from chatstore.model import Block


class _Text:
    """Text that grows by the changes of one block."""

    def __init__(self, block: Block) -> None:
        self._block_id = block.id
        self.text = ""
        self.finished: Block | None = None

    def apply(self, change: Change) -> str:
        """What a change adds to the text; nothing if it is about something else. Raises ContextErased."""
        if isinstance(change, HistoryErased):
            raise ContextErased("the context was erased while a block of it was read")
        if isinstance(change, TextAppended) and change.block_id == self._block_id:
            whole = self.text[: change.offset] + change.text
        elif isinstance(change, (BlockAdded, BlockClosed)) and change.block_id == self._block_id:
            if change.block.state == "open":
                return ""
            whole, self.finished = change.block.text, change.block
        else:
            return ""
        added, self.text = whole[len(self.text) :], whole
        return added

    def result(self) -> Block:
        """The finished block, once the changes have come to an end."""
        if self.finished is None:
            raise StoreClosed("the store was closed before the block ended; open it again to go on")
        return self.finished


class BlockReader:
    """Reads one block, finished or growing: iterate over it for the text, as often as you like, from the start.

    `block` is its header (author, tags, data, parts) before any text. Iterating ends when the block does, or when the
    store is closed. Raises ContextErased if the context is erased meanwhile.
    """

    def __init__(self, block: Block, follow: Callable[[], Subscription]) -> None:
        self.block = block
        self._follow = follow

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of block {self.block.index} of {self.block.context_id!r}>"

    def __iter__(self) -> Iterator[str]:
        text = _Text(self.block)
        with self._follow() as changes:
            for change in changes:
                if added := text.apply(change):
                    yield added
                if text.finished is not None:
                    return

    def result(self) -> Block:
        """The finished block; waits for its end. Raises StoreClosed if the store is closed before."""
        text = _Text(self.block)
        with self._follow() as changes:
            for change in changes:
                text.apply(change)
                if text.finished is not None:
                    break
        return text.result()


class AsyncBlockReader:
    """`BlockReader` for an event loop."""

    def __init__(self, block: Block, follow: Callable[[], AsyncSubscription]) -> None:
        self.block = block
        self._follow = follow

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of block {self.block.index} of {self.block.context_id!r}>"

    async def __aiter__(self) -> AsyncIterator[str]:
        text = _Text(self.block)
        async with self._follow() as changes:
            async for change in changes:
                if added := text.apply(change):
                    yield added
                if text.finished is not None:
                    return

    async def result(self) -> Block:
        """As `BlockReader.result`."""
        text = _Text(self.block)
        async with self._follow() as changes:
            async for change in changes:
                text.apply(change)
                if text.finished is not None:
                    break
        return text.result()
