"""RemoteHistory: one context of a store at a server, for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from chatstore import requests
from chatstore.block_reader import BlockReader
from chatstore.block_writer import BlockWriter
from chatstore.cursor import Cursor
from chatstore.history import History
from chatstore.live.subscription import Subscription
from chatstore.model import Block, Context, JsonValue, Run, Tag
from chatstore.operations import appending
from chatstore.operations.transaction import ContextRef
from chatstore.remote import following, opening, reading, requesting
from chatstore.remote.runs import RemoteRunScope
from chatstore.remote.subscription import RemoteSubscription
from chatstore.requests import Filters
from chatstore.runs import RunScope
from chatstore.writing.drafts import BlockOptions
from chatstore.writing.waiting import wait

if TYPE_CHECKING:
    from chatstore.remote.store import RemoteChatStore


class RemoteHistory(History):
    """A History whose store is at a server. An append is repeated safely when its answer is lost, key or none."""

    _store: RemoteChatStore

    def __init__(self, store: RemoteChatStore, context: ContextRef) -> None:
        super().__init__(store, context)

    def open_block(self, type: str, *, role: str | None = None, **options: Unpack[BlockOptions]) -> BlockWriter:
        """As `History.open_block`."""
        new = opening.checked(self._context, type, role, options, self._run_id())
        block = self._store._send(requesting.open_block(self._context, new))
        writer = BlockWriter(self._store, opening.growing(self._store._open(), self._context, block))
        self._store._opened(writer)
        return writer

    def run(self, *, parent_run_id: str | None = None) -> RunScope:
        """As `History.run`."""
        return RemoteRunScope(self, parent_run_id)

    def get_run(self, run_id: str) -> Run:
        """As `History.get_run`."""
        return self._store._send(requesting.get_run(self.context_id, run_id))

    def runs(self) -> list[Run]:
        """As `History.runs`."""
        return self._store._send(requesting.runs(self.context_id))

    def cancel_run(self, run_id: str) -> Run:
        """As `History.cancel_run`."""
        call = requesting.cancel_run(self.context_id, run_id)
        # First the text that this process was given before it was asked to stop: behind the end it would be refused.
        for block in self._store._open().flusher.of_run(run_id):
            wait(block.when_stored)
        return self._store._send(call)

    def get_messages(
        self,
        *,
        kind: str = "trace",
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Block]:
        """As `History.get_messages`; a long history comes in several answers."""
        window = {"last": last, "after": after, "before": before, "limit": limit}
        reading.check_window(self._store._open(), self.context_id, **window)
        chosen = requests.selection(kind, filters)
        return self._store._all(reading.messages(self.context_id, kind, chosen, window))

    def since_last_user_message(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> list[Block]:
        """As `History.since_last_user_message`."""
        chosen = requests.selection(kind, filters)
        return self._store._all(reading.since_last_user_message(self.context_id, kind, chosen))

    def get_block(self, block_id: str) -> Block:
        """As `History.get_block`."""
        return self._store._send(requesting.get_block(self.context_id, block_id))

    def read_block(self, block: Block | str) -> BlockReader:
        """As `History.read_block`."""
        header, before = reading.header(self._store._open(), self.get_block(requests.block_id(block)))
        return BlockReader(header, lambda: self.subscribe(after=before))

    def count(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> int:
        """As `History.count`."""
        chosen = requests.selection(kind, filters)
        return self._store._send(requesting.count(self.context_id, requesting.filters(kind, chosen)))

    def head(self) -> Cursor:
        """As `History.head`."""
        return self._store._send(requesting.head(self.context_id))

    def info(self) -> Context | None:
        """As `History.info`."""
        return self._store._send(requesting.info(self.context_id))

    def subscribe(
        self,
        context_id: str | None = None,
        *,
        after: str | None = None,
        kind: str = "trace",
        follow: bool = True,
        timeout: float | None = None,
        **filters: Unpack[Filters],
    ) -> Subscription:
        """As `History.subscribe`; it has a connection of its own, and takes it up again where it broke off."""
        followed = requests.followed(self.context_id, context_id)
        wanted = requests.subscription(followed, after, kind, follow, timeout, filters)
        core = self._store._open()
        opening.check_start(core, wanted)
        feed = following.of_context(wanted, kind)
        return self._store._following(RemoteSubscription(core.link, feed, core.about.heartbeat))

    def erase(self) -> None:
        """As `History.erase`. Needs a token that may administer the store."""
        self._store._send(requesting.erase(self.context_id))

    def tag(self, block: Block | str, *tags: Tag) -> Block:
        """As `History.tag`."""
        added = requests.tags(tags, self._store._rules)
        return self._store._send(requesting.tag_block(self.context_id, requests.block_id(block), added))

    def tag_context(self, *tags: Tag) -> None:
        """As `History.tag_context`."""
        self._store._send(requesting.tag_context(self._context, requests.tags(tags, self._store._rules)))

    def set_usage(self, block: Block | str, usage: dict[str, JsonValue]) -> Block:
        """As `History.set_usage`."""
        given = requests.usage(usage, self._store._rules)
        return self._store._send(requesting.set_usage(self.context_id, requests.block_id(block), given))

    def _append(self, wanted: appending.Append) -> list[Block]:
        core = self._store._open()
        return self._store._send(opening.append(core, wanted, self._run_id()))
