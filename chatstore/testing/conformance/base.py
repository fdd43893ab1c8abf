"""What the parts of the suite share: the store under test, and ways to wait that always end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from chatstore import AsyncChatStore, AsyncHistory, AsyncSubscription, BlockDraft, Change

T = TypeVar("T")
Open: TypeAlias = Callable[[], Awaitable[AsyncChatStore]]
OpenStore: TypeAlias = Callable[..., AbstractAsyncContextManager[Any]]

DEADLINE = 30.0
"""Seconds after which something that should have happened has not; nothing is measured by it."""

examples = settings(
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
        """Opens the store of this test once more, as often as it is called."""
        async with AsyncExitStack() as stores:

            async def open_one() -> AsyncChatStore:
                opened = await stores.enter_async_context(type(self).open_store(chatstore_url))
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


async def take(subscription: AsyncSubscription, count: int) -> list[Change]:
    """The next so many changes."""
    return [await soon(anext(subscription)) for _ in range(count)]


async def rest(subscription: AsyncSubscription) -> list[Change]:
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


def texts(changes: list[Change]) -> list[str]:
    """What the blocks of changes say."""
    return [change.block.text for change in changes]


@asynccontextmanager
async def unchanged(history: AsyncHistory) -> AsyncIterator[None]:
    """Fails if anything of the history changes inside."""
    before = await history.head(), await history.count(), await history.get_messages()
    yield
    assert (await history.head(), await history.count(), await history.get_messages()) == before
