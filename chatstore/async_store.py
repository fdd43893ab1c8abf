"""AsyncChatStore: a store for an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar, Unpack
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection

from chatstore import addresses, checks, core, growing_requests, requests
from chatstore.async_history import AsyncHistory
from chatstore.block_writer import AsyncBlockWriter
from chatstore.core import Core, Options
from chatstore.cursor import StoreCursors
from chatstore.databases import Location, backup, files, inspectors, locate, locate_file
from chatstore.databases.backup import BackupReport, Progress
from chatstore.databases.base import Patience
from chatstore.errors import ChatStoreError, StoreClosed, WrongEventLoop
from chatstore.limits import DEFAULT, Limits
from chatstore.live.room import check_room
from chatstore.live.shared import Shared
from chatstore.live.store_subscription import AsyncStoreSubscription, Opened, Wanted
from chatstore.live.subscription import AsyncSubscription
from chatstore.model import Context, Part, Retain, Tag
from chatstore.operations import histories, places, reading
from chatstore.operations.feed import FeedPage, feed
from chatstore.operations.integrity.checking import CheckReport
from chatstore.operations.log import LogPage
from chatstore.operations.running import RunEnding
from chatstore.operations.transaction import Transaction
from chatstore.redaction import Redact
from chatstore.requests import AppendOptions, BlockFilters
from chatstore.run_handles import AsyncRunHandle
from chatstore.runs import AsyncRunScope, as_they_end
from chatstore.writing.committer import Durability
from chatstore.writing.drafts import rules
from chatstore.writing.pending import UNKNOWN, size_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S", AsyncSubscription, AsyncStoreSubscription)


class AsyncChatStore:
    """`ChatStore` for an event loop: the same names and parameters, awaited.

    It belongs to the loop that uses it first. `async with` opens it, or else its first awaited call does. An open
    ChatStore of the same file in this process shares its committer and hub.
    """

    def __new__(cls, location: Location, *_: object, **__: object) -> Self:
        """As `ChatStore.__new__`."""
        return super().__new__(addresses.face_of(cls, AsyncChatStore, location))

    def __init__(
        self,
        location: Location,
        *,
        create: bool = True,
        busy_timeout: float = 30.0,
        wake: str = "auto",
        lease: float = 30.0,
        durability: Durability = "message",
        retain: Retain | None = None,
        redact: Redact | None = None,
        limits: Limits = DEFAULT,
        listen_url: str | None = None,
        token: str | None = None,
    ) -> None:
        addresses.check_token(token)
        self._rules = rules(limits, redact)
        self._place = locate(location)
        self._options = Options(create, busy_timeout, wake, lease, durability, retain, redact, limits, listen_url)
        self._core: Core | None = None
        self._readers: AsyncEngine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._reads: set[asyncio.Task[object]] = set()
        self._pages: Shared[LogPage] = Shared()
        self._subscriptions: WeakSet[AsyncSubscription | AsyncStoreSubscription] = WeakSet()
        self._writing: WeakKeyDictionary[AsyncBlockWriter | AsyncRunScope, None] = WeakKeyDictionary()
        self._closed = False
        self._releasing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        shown = f"AsyncChatStore({self.location!r})"
        return f"<closed {shown}>" if self._closed else shown

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled: hand its location to the other process, which opens its own")

    def __del__(self) -> None:
        core.warn_of_unclosed(self, getattr(self, "_core", None))

    @property
    def location(self) -> str:
        """As `ChatStore.location`."""
        return str(self._place)

    @property
    def path(self) -> Path:
        """As `ChatStore.path`."""
        return locate_file(self._place, "path")

    @property
    def identity(self) -> str:
        """As `ChatStore.identity`; once the store is open."""
        if self._core is None:
            raise StoreClosed(f"{self.location} is not open; use `async with`, or await a call first")
        return self._core.database.identity

    @property
    def limits(self) -> Limits:
        """As `ChatStore.limits`."""
        return self._rules.limits

    def history(self, context: str | Mapping[str, str]) -> AsyncHistory:
        """As `ChatStore.history`."""
        return AsyncHistory(self, requests.context(context, self._rules))

    async def contexts(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        after: str | None = None,
        limit: int = requests.DEFAULT_LIMIT,
        newest_first: bool = False,
    ) -> list[Context]:
        """As `ChatStore.contexts`."""
        listing = requests.listing(keys, tags, after, limit, newest_first)
        cursors = (await self._open()).cursors
        return await self._read(lambda conn: histories.contexts(conn, cursors, **listing))

    async def submit(
        self,
        agent: Callable[[AsyncHistory, str], Awaitable[R]],
        prompt: str,
        *,
        context: str | Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        **options: Unpack[AppendOptions],
    ) -> AsyncRunHandle[R]:
        """As `ChatStore.submit`; the agent is a coroutine function."""
        growing_requests.agent(agent, asynchronous=True)
        history = self.history(str(uuid4()) if context is None else context)
        scope = history.run(parent_run_id=parent_run_id)
        core = await self._open()
        write = growing_requests.submission(
            history._context, prompt, scope.id, scope.parent_run_id, core.lease, options
        )
        try:
            run, cursor = await self._write(write, history.context_id, size=size_of(len(prompt)))
        except BaseException:
            core.flusher.finish_later(scope._write(RunEnding("cancelled")))  # it may have been stored
            raise
        scope._begin(core.flusher)
        handle: AsyncRunHandle[R] = AsyncRunHandle(history, scope, run, cursor)
        handle._start(agent, prompt)
        return handle

    async def prune(self) -> int:
        """As `ChatStore.prune`."""
        return await asyncio.to_thread((await self._open()).prune)

    async def compact(self, *, older_than: float = 0.0) -> int:
        """As `ChatStore.compact`."""
        step = (await self._open()).compaction(requests.time_before(older_than))
        removed, more = 0, True
        while more:
            count, more = await self._write(step, None, synced=False)
            removed += count
        return removed

    def subscribe(
        self,
        *,
        after: str | None = None,
        kind: str = "trace",
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        follow: bool = True,
        timeout: float | None = None,
        **filters: Unpack[BlockFilters],
    ) -> AsyncStoreSubscription:
        """As `ChatStore.subscribe`."""
        wanted = requests.store_subscription(after, kind, keys, tags, follow, timeout, filters)
        return self._following(AsyncStoreSubscription(_Feed(self), wanted))

    async def read_bytes(self, part: Part | str) -> bytes:
        """As `ChatStore.read_bytes`."""
        digest = requests.digest(part)
        return await self._read(lambda conn: reading.blob(conn, digest))

    async def backup(
        self, path: Location, *, overwrite: bool = False, progress: Progress | None = None
    ) -> BackupReport:
        """As `ChatStore.backup`; it works on a thread, and calls `progress` there."""
        database, told = files((await self._open()).database, "backup"), checks.progress(progress)
        return await self._settle(asyncio.to_thread(backup.backup, database, path, overwrite=overwrite, progress=told))

    async def check(self, *, progress: Progress | None = None) -> CheckReport:
        """As `ChatStore.check`; it works on a thread, and calls `progress` there."""
        database, told = (await self._open()).database, checks.progress(progress)
        return await self._settle(asyncio.to_thread(inspectors.check, database, self._place, told))

    async def close(self) -> None:
        """As `ChatStore.close`."""
        self._check_loop()
        self._closed = True
        if self._releasing is None:
            self._releasing = asyncio.ensure_future(self._end(self._core))
        if not self._releasing.done():
            await asyncio.shield(self._releasing)

    async def _end(self, opened: Core | None) -> None:
        """Ends what is open and gives everything back. It is a task of its own: a caller that is cancelled half-way
        could not do the rest."""
        try:
            for unfinished in [] if opened is None or opened.forked else as_they_end(self._writing):
                await unfinished.interrupt()
        finally:
            self._core = None
            for subscription in list(self._subscriptions):
                subscription.stop()
            if opened is not None:
                await self._release(opened)

    async def _release(self, opened: Core) -> None:
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
            raise StoreClosed(f"{self.location} was closed; open it again")
        self._core.check()
        return self._core

    async def _acquire(self) -> None:
        if self._core is None and not self._closed:
            opening = asyncio.get_running_loop().run_in_executor(None, core.acquire, self._place, self._options)
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

    def _following(self, subscription: S) -> S:
        check_room(self._subscriptions, self.limits.subscribers)
        self._subscriptions.add(subscription)
        return subscription

    def _opened(self, writing: AsyncBlockWriter | AsyncRunScope) -> None:
        """Remembers what was opened through this store, to end it when the store closes."""
        self._writing[writing] = None

    async def _write(
        self, write: Callable[[Transaction], T], context: str | None, *, synced: bool = True, size: int = UNKNOWN
    ) -> T:
        return await (await self._open()).committer.post(write, synced=synced, size=size, context=context)

    async def _read(self, read: Callable[[Connection], T]) -> T:
        database = (await self._open()).database
        patience = Patience(database, time.monotonic)
        while True:
            try:
                return await self._settle(self._run(read))
            except ChatStoreError:
                raise
            except Exception as error:
                if (pause := patience.pause(error)) is None:
                    raise database.translate(error) from error
                await asyncio.sleep(pause)

    async def _run(self, read: Callable[[Connection], T]) -> T:
        assert self._readers is not None
        async with self._readers.connect() as conn:
            return await conn.run_sync(read)

    async def _settle(self, work: Awaitable[T]) -> T:
        """Lets work end by itself when its caller is cancelled: aiosqlite goes on with a statement that it was given,
        and the connection must not go back to the pool before."""
        task = asyncio.ensure_future(work)
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        return await asyncio.shield(task)


class _Feed:
    """The log of the whole store, read for a subscription."""

    def __init__(self, store: AsyncChatStore) -> None:
        self._store = store

    async def open(self) -> Opened:
        core = await self._store._open()
        end = await self._store._read(places.newest)
        return Opened(core.hub, StoreCursors(core.database.identity, core.before), end)

    async def page(self, wanted: Wanted, after: int, limit: int) -> FeedPage:
        cursors = (await self._store._open()).cursors
        return await self._store._read(
            lambda conn: feed(conn, cursors, wanted.selection, wanted.contexts, after=after, limit=limit)
        )


def _give_back(opening: asyncio.Future[Core]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        core.release(opening.result())
