"""AsyncHistory: one context of a store, for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, Unpack, overload

from sqlalchemy import Connection

from chatstore import growing_requests, requests
from chatstore.block_reader import AsyncBlockReader
from chatstore.block_writer import AsyncBlockWriter
from chatstore.cursor import Cursor
from chatstore.live.subscription import AsyncSubscription, Opened, Wanted
from chatstore.model import Block, BlockDraft, Context, JsonValue, Run, Tag
from chatstore.operations import appending, histories, log, marking, reading, running
from chatstore.operations.log import LogPage
from chatstore.operations.reading import Range
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.requests import AppendOptions, Filters
from chatstore.runs import AsyncRunScope, current_run, history_of_current_run
from chatstore.writing.drafts import BlockOptions
from chatstore.writing.growing import Growing
from chatstore.writing.waiting import wait_async

if TYPE_CHECKING:
    from chatstore.async_store import AsyncChatStore

P = ParamSpec("P")
T = TypeVar("T")


class AsyncHistory:
    """`History` for an event loop: the same names and parameters, awaited; `subscribe` gives an async iterator.

    Cancelled before its commit began, an append stores nothing; after that it is stored whole. A `key` makes the
    repetition safe in both cases.
    """

    def __init__(self, store: AsyncChatStore, context: ContextRef) -> None:
        self._store = store
        self._context = context

    def __repr__(self) -> str:
        return f"AsyncHistory({self.context_id!r})"

    @property
    def context_id(self) -> str:
        """As `History.context_id`."""
        return self._context.context_id

    @staticmethod
    def current() -> AsyncHistory:
        """As `History.current`, of this task."""
        return history_of_current_run(AsyncHistory)

    @overload
    async def append(self, drafts: BlockDraft, *, key: str | None = None, expect: str | None = None) -> Block: ...
    @overload
    async def append(
        self, drafts: Iterable[BlockDraft], *, key: str | None = None, expect: str | None = None
    ) -> list[Block]: ...
    async def append(
        self, drafts: BlockDraft | Iterable[BlockDraft], *, key: str | None = None, expect: str | None = None
    ) -> Block | list[Block]:
        """As `History.append`."""
        one = isinstance(drafts, BlockDraft)
        wanted = requests.append(self._context, [drafts] if isinstance(drafts, BlockDraft) else drafts, key, expect)
        stored = await self._append(wanted)
        return stored[0] if one else stored

    async def append_user_message(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """As `History.append_user_message`."""
        return (await self._append(requests.append_named(self._context, "message", "user", text, options)))[0]

    async def append_assistant_message(
        self, text: str | Iterable[str] | AsyncIterable[str], **options: Unpack[AppendOptions]
    ) -> Block:
        """As `History.append_assistant_message`; the iterator may be an async one."""
        if not isinstance(text, str):
            async with self.open_message(**growing_requests.growing_options(options)) as block:
                async for piece in growing_requests.pieces(text):
                    await block.write(piece)
                return await block.close()
        return (await self._append(requests.append_named(self._context, "message", "assistant", text, options)))[0]

    async def append_system_message(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """As `History.append_system_message`."""
        return (await self._append(requests.append_named(self._context, "message", "system", text, options)))[0]

    async def append_status_message(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """As `History.append_status_message`."""
        return (await self._append(requests.append_named(self._context, "status", None, text, options)))[0]

    async def append_reasoning(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """As `History.append_reasoning`."""
        return (await self._append(requests.append_named(self._context, "reasoning", "assistant", text, options)))[0]

    async def append_function_call(
        self, name: str, arguments: JsonValue, *, call_id: str | None = None, **options: Unpack[AppendOptions]
    ) -> Block:
        """As `History.append_function_call`."""
        return (await self._append(requests.append_call(self._context, name, arguments, call_id, options)))[0]

    async def append_function_result(
        self,
        text: str,
        *,
        call: Block | str | None = None,
        call_id: str | None = None,
        name: str | None = None,
        is_error: bool = False,
        **options: Unpack[AppendOptions],
    ) -> Block:
        """As `History.append_function_result`."""
        wanted = requests.append_result(self._context, text, call, call_id, name, is_error, options)
        return (await self._append(wanted))[0]

    def open_message(self, *, role: str = "assistant", **options: Unpack[BlockOptions]) -> AsyncBlockWriter:
        """As `History.open_message`."""
        return self.open_block("message", role=role, **options)

    def open_block(self, type: str, *, role: str | None = None, **options: Unpack[BlockOptions]) -> AsyncBlockWriter:
        """As `History.open_block`."""

        async def open() -> Growing:
            core = await self._store._open()
            write = growing_requests.open_block(self._context, type, role, options, self._run_id(), core.lease)
            [block] = await self._store._write(write, self.context_id, synced=False)
            growing = Growing(self._context, block, core.flusher)
            core.flusher.join(growing)
            return growing

        writer = AsyncBlockWriter(self._store, open)
        self._store._opened(writer)
        return writer

    def run(self, *, parent_run_id: str | None = None) -> AsyncRunScope:
        """As `History.run`."""
        return AsyncRunScope(self, parent_run_id)

    async def get_run(self, run_id: str) -> Run:
        """As `History.get_run`."""
        return await self._store._read(lambda conn: running.find_run(conn, self.context_id, run_id))

    async def runs(self) -> list[Run]:
        """As `History.runs`."""
        return await self._store._read(lambda conn: running.list_runs(conn, self.context_id))

    async def cancel_run(self, run_id: str) -> Run:
        """As `History.cancel_run`."""
        for block in (await self._store._open()).flusher.of_run(run_id):
            await wait_async(block.when_stored)
        return await self._write(running.cancel_run, run_id)

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
        """As `History.get_messages`."""
        cursors = (await self._store._open()).cursors
        wanted = requests.window(self.context_id, cursors, last=last, after=after, before=before, limit=limit)
        return await self._read(reading.messages, requests.selection(kind, filters), wanted)

    async def since_last_user_message(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> list[Block]:
        """As `History.since_last_user_message`."""
        return await self._read(
            reading.messages, requests.selection(kind, filters), Range(since_last_user_message=True)
        )

    async def get_block(self, block_id: str) -> Block:
        """As `History.get_block`."""
        return await self._read(reading.block, block_id)

    async def read_block(self, block: Block | str) -> AsyncBlockReader:
        """As `History.read_block`."""
        header, before = await self._read(reading.header, requests.block_id(block))
        return AsyncBlockReader(header, lambda: self.subscribe(after=before))

    async def count(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> int:
        """As `History.count`."""
        return await self._read(reading.count, requests.selection(kind, filters))

    async def head(self) -> Cursor:
        """As `History.head`."""
        return await self._read(reading.head_cursor)

    async def info(self) -> Context | None:
        """As `History.info`."""
        return await self._read(histories.described)

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
        """As `History.subscribe`."""
        followed = requests.followed(self.context_id, context_id)
        wanted = requests.subscription(followed, after, kind, follow, timeout, filters)
        return self._store._following(AsyncSubscription(_Log(self._store, wanted.context_id), wanted))

    async def erase(self) -> None:
        """As `History.erase`."""
        core = await self._store._open()
        await self._store._settle(asyncio.to_thread(core.erase, self._context))

    async def tag(self, block: Block | str, *tags: Tag) -> Block:
        """As `History.tag`."""
        rules = self._store._rules
        added = requests.tags(tags, rules)
        return await self._write(marking.tag_block, requests.block_id(block), added, rules.limits)

    async def tag_context(self, *tags: Tag) -> None:
        """As `History.tag_context`."""
        rules = self._store._rules
        await self._write(marking.tag_context, requests.tags(tags, rules), rules.limits)

    async def set_usage(self, block: Block | str, usage: dict[str, JsonValue]) -> Block:
        """As `History.set_usage`."""
        rules = self._store._rules
        given = requests.usage(usage, rules)
        return await self._write(marking.set_usage, requests.block_id(block), given, rules.limits)

    async def _append(self, wanted: appending.Append) -> list[Block]:
        run_id = self._run_id()
        if run_id is not None:
            wanted = replace(wanted, blocks=growing_requests.stamped(wanted.blocks, run_id))
        return await self._store._write(partial(appending.append, wanted=wanted), self.context_id, size=wanted.size)

    def _run_id(self) -> str | None:
        return current_run(self._store.location, self.context_id)

    async def _write(
        self,
        operation: Callable[Concatenate[Transaction, ContextRef, P], T],
        *values: P.args,
        **named: P.kwargs,
    ) -> T:
        context = self._context
        return await self._store._write(
            lambda transaction: operation(transaction, context, *values, **named), context.context_id
        )

    async def _read(
        self,
        operation: Callable[Concatenate[Connection, str, Cursors, P], T],
        *values: P.args,
        **named: P.kwargs,
    ) -> T:
        cursors = (await self._store._open()).cursors
        return await self._store._read(lambda conn: operation(conn, self.context_id, cursors, *values, **named))


class _Log:
    """The log of one context, read for a subscription."""

    def __init__(self, store: AsyncChatStore, context_id: str) -> None:
        self._store = store
        self._context_id = context_id

    async def open(self) -> Opened:
        core = await self._store._open()
        first, head = await self._store._read(lambda conn: reading.bounds(conn, self._context_id))
        return Opened(core.hub, core.cursors(self._context_id), first, head)

    async def page(self, wanted: Wanted, after: int, limit: int) -> LogPage:
        cursors = (await self._store._open()).cursors
        read = partial(log.log, context_id=self._context_id, cursors=cursors, selection=wanted.selection)
        work = partial(self._store._read, partial(read, after=after, limit=limit))
        return await self._store._pages.read((self._context_id, wanted.selection, after, limit), work)
