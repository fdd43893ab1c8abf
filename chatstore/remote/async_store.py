"""AsyncRemoteChatStore: a store at a server, for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, Unpack
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from chatstore import checks, growing_requests, requests
from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.core import Options
from chatstore.databases import Location
from chatstore.databases.backup import BackupReport, Progress
from chatstore.errors import StoreClosed
from chatstore.limits import DEFAULT, Limits
from chatstore.live.store_subscription import AsyncStoreSubscription
from chatstore.live.store_subscription import Wanted as StoreWanted
from chatstore.live.subscription import Wanted
from chatstore.model import Context, Part, Retain, Tag
from chatstore.operations.integrity.checking import CheckReport
from chatstore.redaction import Redact
from chatstore.remote import core, following, opening, reading, requesting
from chatstore.remote.async_history import AsyncRemoteHistory
from chatstore.remote.async_link import AsyncLink
from chatstore.remote.async_subscription import AsyncRemoteStoreSubscription, Opening
from chatstore.remote.calls import Call
from chatstore.remote.core import RemoteCore, RemoteOptions
from chatstore.remote.link import Link
from chatstore.remote.reading import Steps
from chatstore.remote.runs import AsyncRemoteRunScope
from chatstore.requests import AppendOptions, BlockFilters
from chatstore.run_handles import AsyncRunHandle
from chatstore.writing.committer import Durability
from chatstore.writing.drafts import RULES
from chatstore.writing.pending import UNKNOWN

T = TypeVar("T")
R = TypeVar("R")


class AsyncRemoteChatStore(AsyncChatStore):
    """`RemoteChatStore` for an event loop. `async with` asks the server who it is, or else the first awaited call."""

    _core: RemoteCore | None  # type: ignore[assignment]

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
        given = Options(create, busy_timeout, wake, lease, durability, retain, redact, limits, listen_url)
        options = RemoteOptions.of(location, token, given)
        self._remote = options
        self._core = None
        self._link: AsyncLink | None = None
        self._rules = RULES
        self._place = options.address  # type: ignore[assignment]
        self._loop = None
        self._opening = asyncio.Lock()
        self._reads = set()
        self._subscriptions = WeakSet()
        self._writing = WeakKeyDictionary()
        self._closed = False
        self._releasing = None

    @property
    def path(self) -> Path:
        """There is none. Raises UsageError."""
        raise core.no_file(self.location)

    @property
    def identity(self) -> str:
        """As `RemoteChatStore.identity`; once the store is open."""
        if self._core is None:
            raise StoreClosed(f"{self.location} is not open; use `async with`, or await a call first")
        return self._core.about.identity

    def history(self, context: str | Mapping[str, str]) -> AsyncHistory:
        """As `RemoteChatStore.history`."""
        return AsyncRemoteHistory(self, requests.context(context, self._rules))

    async def contexts(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        after: str | None = None,
        limit: int = requests.DEFAULT_LIMIT,
        newest_first: bool = False,
    ) -> list[Context]:
        """As `RemoteChatStore.contexts`."""
        return await self._all(reading.contexts(requests.listing(keys, tags, after, limit, newest_first)))

    async def submit(
        self,
        agent: Callable[[AsyncHistory, str], Awaitable[R]],
        prompt: str,
        *,
        context: str | Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        **options: Unpack[AppendOptions],
    ) -> AsyncRunHandle[R]:
        """As `RemoteChatStore.submit`."""
        growing_requests.agent(agent, asynchronous=True)
        history = AsyncRemoteHistory(self, requests.context(str(uuid4()) if context is None else context, self._rules))
        scope = AsyncRemoteRunScope(history, parent_run_id)
        asked = requests.append_named(history._context, "message", "user", prompt, options)
        run, cursor = await self._send(requesting.submit(asked, scope.parent_run_id))
        scope.id = run.id
        scope._begin((await self._open()).flusher)
        handle: AsyncRunHandle[R] = AsyncRunHandle(history, scope, run, cursor)
        handle._start(agent, prompt)
        return handle

    async def prune(self) -> int:
        """As `RemoteChatStore.prune`."""
        return await self._send(requesting.prune())

    async def compact(self, *, older_than: float = 0.0) -> int:
        """As `RemoteChatStore.compact`."""
        return await self._send(requesting.compact(checks.seconds(older_than, "older_than")))

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
        """As `RemoteChatStore.subscribe`."""
        wanted = requests.store_subscription(after, kind, keys, tags, follow, timeout, filters)
        feed = following.of_store(wanted, kind)
        return self._following(AsyncRemoteStoreSubscription(self._streams(wanted), feed))

    async def read_bytes(self, part: Part | str) -> bytes:
        """As `RemoteChatStore.read_bytes`."""
        return await self._send(requesting.read_bytes(requests.digest(part)))

    async def backup(
        self, path: Location, *, overwrite: bool = False, progress: Progress | None = None
    ) -> BackupReport:
        """Not over HTTP. Raises UsageError."""
        raise core.only_there("backup", self.location)

    async def check(self, *, progress: Progress | None = None) -> CheckReport:
        """As `RemoteChatStore.check`."""
        told = checks.progress(progress)
        report = await self._send(requesting.check())
        if told is not None:
            told(report.blocks, report.blocks)
        return report

    async def close(self) -> None:
        """As `RemoteChatStore.close`."""
        if self._core is not None and self._link is not None and not self._core.forked:
            self._core.hurry()
            self._link.hurry()
        await super().close()

    async def _release(self, opened: RemoteCore) -> None:  # type: ignore[override]
        """Gives everything back; a task of its own, for a caller that is cancelled half-way cannot come again."""
        link, self._link = self._link, None
        subscriptions = [subscription.close() for subscription in self._subscriptions]
        await asyncio.gather(*subscriptions, return_exceptions=True)
        if link is not None and not opened.forked:
            await link.close()
        await asyncio.to_thread(opened.close)

    async def _acquire(self) -> None:
        if self._core is not None or self._closed:
            return
        options = self._remote
        link = AsyncLink(options.address, options.headers, options.patience)
        try:
            told = await link.send(core.about())
        except BaseException:
            await link.close()
            raise
        if self._closed:  # while it was asked
            await link.close()
            return
        self._rules = told.rules()
        self._link = link
        # Beside the link of the loop one for threads: text of open blocks is sent by the flusher's.
        self._core = RemoteCore(Link(options.address, options.headers, options.patience), told)

    async def _open(self) -> RemoteCore:  # type: ignore[override]
        return await super()._open()  # type: ignore[return-value]

    def _streams(self, wanted: Wanted | StoreWanted) -> Opening:
        """Has the store opened for a subscription that begins."""

        async def open() -> tuple[AsyncLink, float]:
            core = await self._open()
            opening.check_start(core, wanted)
            assert self._link is not None
            return self._link, core.about.heartbeat

        return open

    async def _send(self, call: Call[T]) -> T:
        await self._open()
        assert self._link is not None
        return await self._link.send(call)

    async def _all(self, steps: Steps[T]) -> T:
        """As `RemoteChatStore._all`."""
        try:
            call = next(steps)
            while True:
                call = steps.send(await self._send(call))
        except StopIteration as done:
            found: T = done.value
            return found

    async def _write(
        self, write: Callable[[Any], T], context: str | None, *, synced: bool = True, size: int = UNKNOWN
    ) -> T:
        assert isinstance(write, Call)
        found: T = await self._send(write)
        return found
