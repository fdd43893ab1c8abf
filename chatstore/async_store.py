"""AsyncChatStore: a store for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection

from chatstore import core, requests
from chatstore.async_history import AsyncHistory
from chatstore.core import Core, Options
from chatstore.databases import Location, locate
from chatstore.errors import ChatStoreError, StoreClosed, WrongEventLoop
from chatstore.live.subscription import AsyncSubscription
from chatstore.model import Context, Part, Tag
from chatstore.operations import histories, reading
from chatstore.operations.transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")


class AsyncChatStore:
    """`ChatStore` for an event loop: the same names and parameters, awaited.

    It belongs to the loop that uses it first. `async with` opens it, or else its first awaited call does. An open
    ChatStore of the same file in this process shares its committer and hub.
    """

    def __init__(
        self, location: Location, *, create: bool = True, busy_timeout: float = 30.0, wake: str = "auto"
    ) -> None:
        self._path = locate(location)
        self._options = Options(create, busy_timeout, wake)
        self._core: Core | None = None
        self._readers: AsyncEngine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._reads: set[asyncio.Task[object]] = set()
        self._subscriptions: WeakSet[AsyncSubscription] = WeakSet()
        self._closed = False
        self._releasing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"AsyncChatStore({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """As `ChatStore.path`."""
        return self._path

    @property
    def identity(self) -> str:
        """As `ChatStore.identity`; once the store is open."""
        if self._core is None:
            raise StoreClosed(f"{self._path} is not open; use `async with`, or await a call first")
        return self._core.database.identity

    def history(self, context: str | Mapping[str, str]) -> AsyncHistory:
        """As `ChatStore.history`."""
        return AsyncHistory(self, requests.context(context))

    async def contexts(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        after: str | None = None,
        limit: int = requests.DEFAULT_LIMIT,
    ) -> list[Context]:
        """As `ChatStore.contexts`."""
        listing = requests.listing(keys, tags, after, limit)
        cursors = (await self._open()).cursors
        return await self._read(lambda conn: histories.contexts(conn, cursors, **listing))

    async def read_bytes(self, part: Part | str) -> bytes:
        """As `ChatStore.read_bytes`."""
        digest = requests.digest(part)
        return await self._read(lambda conn: reading.blob(conn, digest))

    async def close(self) -> None:
        """As `ChatStore.close`."""
        self._check_loop()
        self._closed = True
        opened, self._core = self._core, None
        if opened is None:
            return
        for subscription in list(self._subscriptions):
            subscription.stop()
        self._releasing = asyncio.ensure_future(self._release(opened))
        await asyncio.shield(self._releasing)

    async def _release(self, opened: Core) -> None:
        """Gives everything back; a task of its own, for a caller that is cancelled half-way cannot come again."""
        try:
            await asyncio.gather(*self._reads, return_exceptions=True)
            if self._readers is not None:
                await self._readers.dispose()
        finally:
            await asyncio.to_thread(core.release, opened)

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open(self) -> Core:
        self._check_loop()
        if self._core is None:
            async with self._opening:
                await self._acquire()
        if self._core is None:
            raise StoreClosed(f"{self._path} was closed; open it again")
        self._core.check()
        return self._core

    async def _acquire(self) -> None:
        if self._core is None and not self._closed:
            opening = asyncio.get_running_loop().run_in_executor(None, core.acquire, self._path, self._options)
            try:
                acquired = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_give_back)  # the thread opens it all the same
                raise
            if self._closed:  # while it was opened
                await asyncio.to_thread(core.release, acquired)
            else:
                self._core, self._readers = acquired, acquired.database.async_readers()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongEventLoop(f"{self!r} belongs to another event loop; open one store for each")

    def _following(self, subscription: AsyncSubscription) -> AsyncSubscription:
        self._subscriptions.add(subscription)
        return subscription

    async def _write(self, write: Callable[[Transaction], T]) -> T:
        return await (await self._open()).committer.post(write)

    async def _read(self, read: Callable[[Connection], T]) -> T:
        core = await self._open()
        try:
            return await self._settle(self._run(read))
        except ChatStoreError:
            raise
        except Exception as error:
            raise core.database.translate(error) from error

    async def _run(self, read: Callable[[Connection], T]) -> T:
        assert self._readers is not None
        async with self._readers.connect() as conn:
            return await conn.run_sync(read)

    async def _settle(self, work: Awaitable[T]) -> T:
        """Lets a read end by itself when its caller is cancelled: aiosqlite goes on with a statement that it was
        given, and the connection must not go back to the pool before."""
        task = asyncio.ensure_future(work)
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        return await asyncio.shield(task)


def _give_back(opening: asyncio.Future[Core]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        core.release(opening.result())
