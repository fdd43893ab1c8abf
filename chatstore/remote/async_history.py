"""AsyncRemoteHistory: one context of a store at a server, for an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from chatstore import requests
from chatstore.async_history import AsyncHistory
from chatstore.block_reader import AsyncBlockReader
from chatstore.block_writer import AsyncBlockWriter
from chatstore.cursor import Cursor
from chatstore.live.subscription import AsyncSubscription
from chatstore.model import Block, Context, JsonValue, Run, Tag
from chatstore.operations import appending
from chatstore.operations.transaction import ContextRef
from chatstore.remote import following, opening, reading, requesting
from chatstore.remote.async_subscription import AsyncRemoteSubscription
from chatstore.remote.runs import AsyncRemoteRunScope
from chatstore.requests import Filters
from chatstore.runs import AsyncRunScope
from chatstore.writing.drafts import BlockOptions
from chatstore.writing.growing import Growing
from chatstore.writing.waiting import wait_async

if TYPE_CHECKING:
    from chatstore.remote.async_store import AsyncRemoteChatStore


class AsyncRemoteHistory(AsyncHistory):
    """`RemoteHistory` for an event loop."""

    _store: AsyncRemoteChatStore

    def __init__(self, store: AsyncRemoteChatStore, context: ContextRef) -> None:
        super().__init__(store, context)

    def open_block(self, type: str, *, role: str | None = None, **options: Unpack[BlockOptions]) -> AsyncBlockWriter:
        """As `RemoteHistory.open_block`."""

        async def open() -> Growing:
            core = await self._store._open()
            new = opening.checked(self._context, type, role, options, self._run_id())
            block = await self._store._send(requesting.open_block(self._context, new))
            return opening.growing(core, self._context, block)

        writer = AsyncBlockWriter(self._store, open)
        self._store._opened(writer)
        return writer

    def run(self, *, parent_run_id: str | None = None) -> AsyncRunScope:
        """As `RemoteHistory.run`."""
        return AsyncRemoteRunScope(self, parent_run_id)

    async def get_run(self, run_id: str) -> Run:
        """As `RemoteHistory.get_run`."""
        return await self._store._send(requesting.get_run(self.context_id, run_id))

    async def runs(self) -> list[Run]:
        """As `RemoteHistory.runs`."""
        return await self._store._send(requesting.runs(self.context_id))

    async def cancel_run(self, run_id: str) -> Run:
        """As `RemoteHistory.cancel_run`."""
        call = requesting.cancel_run(self.context_id, run_id)
        for block in (await self._store._open()).flusher.of_run(run_id):
            await wait_async(block.when_stored)
        return await self._store._send(call)

    async def get_messages(
        self,
        *,
        kind: str = "trace",
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Block]:
        """As `RemoteHistory.get_messages`."""
        window = {"last": last, "after": after, "before": before, "limit": limit}
        reading.check_window(await self._store._open(), self.context_id, **window)
        chosen = requests.selection(kind, filters)
        return await self._store._all(reading.messages(self.context_id, kind, chosen, window))

    async def since_last_user_message(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> list[Block]:
        """As `RemoteHistory.since_last_user_message`."""
        chosen = requests.selection(kind, filters)
        return await self._store._all(reading.since_last_user_message(self.context_id, kind, chosen))

    async def get_block(self, block_id: str) -> Block:
        """As `RemoteHistory.get_block`."""
        return await self._store._send(requesting.get_block(self.context_id, block_id))

    async def read_block(self, block: Block | str) -> AsyncBlockReader:
        """As `RemoteHistory.read_block`."""
        header, before = reading.header(await self._store._open(), await self.get_block(requests.block_id(block)))
        return AsyncBlockReader(header, lambda: self.subscribe(after=before))

    async def count(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> int:
        """As `RemoteHistory.count`."""
        chosen = requests.selection(kind, filters)
        return await self._store._send(requesting.count(self.context_id, requesting.filters(kind, chosen)))

    async def head(self) -> Cursor:
        """As `RemoteHistory.head`."""
        return await self._store._send(requesting.head(self.context_id))

    async def info(self) -> Context | None:
        """As `RemoteHistory.info`."""
        return await self._store._send(requesting.info(self.context_id))

    def subscribe(
        self,
        context_id: str | None = None,
        *,
        after: str | None = None,
        kind: str = "trace",
        follow: bool = True,
        timeout: float | None = None,
        **filters: Unpack[Filters],
    ) -> AsyncSubscription:
        """As `RemoteHistory.subscribe`."""
        followed = requests.followed(self.context_id, context_id)
        wanted = requests.subscription(followed, after, kind, follow, timeout, filters)
        feed = following.of_context(wanted, kind)
        return self._store._following(AsyncRemoteSubscription(self._store._streams(wanted), feed))

    async def erase(self) -> None:
        """As `RemoteHistory.erase`."""
        await self._store._send(requesting.erase(self.context_id))

    async def tag(self, block: Block | str, *tags: Tag) -> Block:
        """As `RemoteHistory.tag`."""
        added = requests.tags(tags, self._store._rules)
        return await self._store._send(requesting.tag_block(self.context_id, requests.block_id(block), added))

    async def tag_context(self, *tags: Tag) -> None:
        """As `RemoteHistory.tag_context`."""
        await self._store._send(requesting.tag_context(self._context, requests.tags(tags, self._store._rules)))

    async def set_usage(self, block: Block | str, usage: dict[str, JsonValue]) -> Block:
        """As `RemoteHistory.set_usage`."""
        given = requests.usage(usage, self._store._rules)
        return await self._store._send(requesting.set_usage(self.context_id, requests.block_id(block), given))

    async def _append(self, wanted: appending.Append) -> list[Block]:
        core = await self._store._open()
        return await self._store._send(opening.append(core, wanted, self._run_id()))
