"""What the parts of the suite share: the store under test, and ways to wait that always end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    AsyncStoreSubscription,
    AsyncSubscription,
    Block,
    BlockAdded,
    BlockClosed,
    BlockDraft,
    BlockUpdated,
    Change,
    TextAppended,
)

T = TypeVar("T")
Following: TypeAlias = AsyncSubscription | AsyncStoreSubscription
Open: TypeAlias = Callable[..., Awaitable[AsyncChatStore]]
OpenStore: TypeAlias = Callable[..., AbstractAsyncContextManager[Any]]

DEADLINE = 30.0
"""Seconds after which something that should have happened has not; nothing is measured by it."""

examples: settings = settings(
    deadline=None,
    # Every example takes a history of its own, and the suite is there to be inherited more than once.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)
"""How the parts of the suite run Hypothesis."""


@pytest.mark.asyncio
class Part:
    """The store under test."""

    open_store: ClassVar[OpenStore] = AsyncChatStore
    """Opens the store at a location, as an async context manager."""

    @pytest_asyncio.fixture
    async def another(self, chatstore_url: str) -> AsyncIterator[Open]:
        """Opens the store of this test once more, as often as it is called, with options if there are any."""
        async with AsyncExitStack() as stores:

            async def open_one(**options: Any) -> AsyncChatStore:
                opened = await stores.enter_async_context(type(self).open_store(chatstore_url, **options))
                return cast("AsyncChatStore", opened)

            yield open_one

    @pytest_asyncio.fixture
    async def store(self, another: Open) -> AsyncChatStore:
        """The store of this test."""
        return await another()

    @pytest_asyncio.fixture
    async def foreign_store(self, other_chatstore_url: str) -> AsyncIterator[AsyncChatStore]:
        """Another store altogether."""
        async with type(self).open_store(other_chatstore_url) as opened:
            yield cast("AsyncChatStore", opened)

    @pytest_asyncio.fixture
    async def history(self, store: AsyncChatStore) -> AsyncHistory:
        """A history of it that nobody wrote to."""
        return store.history("support-42")


async def soon(awaited: Awaitable[T]) -> T:
    """What is awaited, or a failure instead of waiting for ever."""
    return await asyncio.wait_for(awaited, DEADLINE)


async def take(subscription: Following, count: int) -> list[Change]:
    """The next so many changes."""
    return [await soon(anext(subscription)) for _ in range(count)]


async def rest(subscription: Following) -> list[Change]:
    """All changes until the subscription ends by itself."""

    async def gather() -> list[Change]:
        return [change async for change in subscription]

    return await soon(gather())


async def log(history: AsyncHistory, **wanted: Any) -> list[Change]:
    """All there is by now."""
    return await rest(history.subscribe(follow=False, **wanted))


async def fill(history: AsyncHistory, count: int) -> None:
    """Appends so many blocks, the text of each its place among them."""
    await history.append([BlockDraft(text=str(place)) for place in range(count)])


def block_of(change: Change) -> Block:
    """The block that a change shows whole."""
    assert isinstance(change, (BlockAdded, BlockUpdated, BlockClosed)), change
    return change.block


def texts(changes: Iterable[Change]) -> list[str]:
    """What the blocks of changes say."""
    return [block_of(change).text for change in changes]


def indexes(changes: Iterable[Change]) -> list[int]:
    """The places of the blocks of changes."""
    return [block_of(change).index for change in changes]


class Reader:
    """Who follows: applies changes as they come, and fails at a gap, a repetition or a step back."""

    def __init__(self, after: str = "") -> None:
        self.cursor: str = after
        self.texts: dict[int, str] = {}
        self.ended: dict[int, Block] = {}
        self.added: set[int] = set()
        self.whole: set[int] = set()

    def see(self, changes: Iterable[Change], *, whole: bool = True) -> None:
        """Takes changes; `whole` where this reader sees every change of the blocks that it sees at all."""
        for change in changes:
            assert change.cursor > self.cursor
            self.cursor = change.cursor
            if isinstance(change, TextAppended):
                text = self.texts.get(change.index, "")
                assert not whole or change.index in self.whole or change.offset == len(text), change
                self.texts[change.index] = text[: change.offset] + change.text
            elif isinstance(change, (BlockAdded, BlockClosed)):
                self._see_block(change, change.block)

    def _see_block(self, change: BlockAdded | BlockClosed, block: Block) -> None:
        seen = self.added if isinstance(change, BlockAdded) else self.ended
        assert block.index not in seen, f"{type(change).__name__} of {block.index} came twice"
        if isinstance(change, BlockAdded):
            self.added.add(block.index)
            if block.state != "open":  # it ended while the page was read, and what it grew by may still come
                self.whole.add(block.index)
        else:
            self.ended[block.index] = block
        self.texts[block.index] = block.text


@asynccontextmanager
async def unchanged(history: AsyncHistory) -> AsyncIterator[None]:
    """Fails if anything of the history changes inside."""
    before = await history.head(), await history.count(), await history.get_messages()
    yield
    assert (await history.head(), await history.count(), await history.get_messages()) == before
