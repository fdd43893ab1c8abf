"""Writers of open blocks: text that everybody sees grow."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from weakref import finalize

from chatstore import growing_requests
from chatstore.errors import BlockEnded, ChatStoreError, LimitExceeded, RunCancelled, StorageError, UsageError
from chatstore.finalizing import apart
from chatstore.model import Block, JsonValue
from chatstore.operations.growing import Ending
from chatstore.operations.transaction import Transaction
from chatstore.writing.growing import ENDED, Growing
from chatstore.writing.pending import size_of
from chatstore.writing.waiting import wait, wait_async

T = TypeVar("T")
_wrote = threading.local()
"""When this thread last wrote to any block: one that writes to many blocks in turn does not pause at each of them."""
_STOPPED = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RunCancelled)


class _Store(Protocol):
    def _open(self) -> object: ...

    def _write(self, write: Callable[[Transaction], T], context: str | None) -> T: ...


class _AsyncStore(Protocol):
    async def _open(self) -> object: ...

    async def _write(self, write: Callable[[Transaction], T], context: str | None, *, size: int) -> T: ...


class BlockWriter:
    """Writes one open block. Leaving the `with` closes it; an exception fails it, and the text so far stays.

    `write` gathers text for 2 ms at most, beside the time that a commit takes. It does not wait for the disk, unless
    a million characters wait already, or the thread wrote nothing for 50 ms: then it returns when the text is stored,
    and so tells a slow writer at once that it was stopped. What went wrong with text is raised by the next call:
    RunCancelled when somebody stopped the run, RunInterrupted when this process was taken for dead, BlockEnded after
    the block's end, a StorageError when the disk refused.

    After a StorageError a call may be repeated, and all text is stored once: a `write` that raises has not taken its
    text, and what earlier calls were given is kept and tried again with the next, or by `flush` and `close`.
    """

    def __init__(self, store: _Store, growing: Growing) -> None:
        self._store = store
        self._growing = growing
        self._ended = False
        self._dropped = _dropped(self, growing)
        _wrote.at = time.monotonic()

    def __repr__(self) -> str:
        return _shown(self, self._growing, self._ended)

    @property
    def block(self) -> Block:
        """The block as it was opened, before its text."""
        return self._growing.block

    def write(self, text: str) -> None:
        """Appends text, at the end of what was written before."""
        since, _wrote.at = getattr(_wrote, "at", 0.0), time.monotonic()
        try:
            flows = self._growing.add(growing_requests.text(text), since)
        except BlockEnded:
            self._store._open()  # raises StoreClosed where it was the close that ended the block
            raise
        if not flows:
            wait(self._growing.when_stored)
            self._growing.check_open()

    def flush(self) -> None:
        """Returns once everything written so far is stored and visible to every process. When it raises, all of that is
        kept; call it again."""
        wait(self._growing.when_stored)
        self._growing.check()

    def close(self, *, data: JsonValue = None, usage: Mapping[str, JsonValue] | None = None) -> Block:
        """Ends the block as `closed`; `data` and `usage` are set with it. The whole block as it is stored."""
        return self._end(growing_requests.ending("closed", data=data, usage=usage))

    def fail(self, error: BaseException | str) -> Block:
        """Ends the block as `failed`; type and message of the error are kept in `data["error"]`."""
        return self._end(growing_requests.ending("failed", error=error))

    def cancel(self) -> Block:
        """Ends the block as `cancelled`."""
        return self._end(growing_requests.ending("cancelled"))

    def interrupt(self) -> None:
        """Ends the block as `interrupted` if nobody has ended it; the store that closes does so."""
        if not self._ended:
            with suppress(ChatStoreError):
                self._end(growing_requests.ending("interrupted"))

    def _end(self, ending: Ending) -> Block:
        wait(self._growing.stop)
        block = self._store._write(_end_of(self._growing, ending, refuse=True), self._growing.block.context_id)
        self._growing.settle()
        self._ended = True
        self._dropped.detach()
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended or apart(self.__exit__, kind, error, None):
            return
        ending = _ending_for(error)
        try:
            self._end(ending)
        except LimitExceeded as refused:
            self.fail(refused)
            raise
        except ChatStoreError as refused:
            self._ended = _end_later(self._growing, refused, ending)
            if error is None:
                raise


class AsyncBlockWriter:
    """`BlockWriter` for an event loop: `async with history.open_message() as block`, or `await` it and end it."""

    def __init__(self, store: _AsyncStore, open: Callable[[], Awaitable[Growing]]) -> None:
        self._store = store
        self._open = open
        self._opened: Growing | None = None
        self._ended = False

    def __repr__(self) -> str:
        return _shown(self, self._opened, self._ended)

    @property
    def _growing(self) -> Growing:
        if self._opened is None:
            raise UsageError("the block is not open yet: use `async with history.open_message(…)`, or await it")
        return self._opened

    @property
    def block(self) -> Block:
        """As `BlockWriter.block`."""
        return self._growing.block

    async def write(self, text: str) -> None:
        """As `BlockWriter.write`. Cancelled while it waits, it has taken the text."""
        try:
            flows = self._growing.add(growing_requests.text(text))
        except BlockEnded:
            await self._store._open()  # as above
            raise
        if not flows:
            await wait_async(self._growing.when_stored)
            self._growing.check_open()

    async def flush(self) -> None:
        """As `BlockWriter.flush`."""
        await wait_async(self._growing.when_stored)
        self._growing.check()

    async def close(self, *, data: JsonValue = None, usage: Mapping[str, JsonValue] | None = None) -> Block:
        """As `BlockWriter.close`."""
        return await self._end(growing_requests.ending("closed", data=data, usage=usage))

    async def fail(self, error: BaseException | str) -> Block:
        """As `BlockWriter.fail`."""
        return await self._end(growing_requests.ending("failed", error=error))

    async def cancel(self) -> Block:
        """As `BlockWriter.cancel`."""
        return await self._end(growing_requests.ending("cancelled"))

    async def interrupt(self) -> None:
        """As `BlockWriter.interrupt`."""
        if self._opened is not None and not self._ended:
            with suppress(ChatStoreError):
                await self._end(growing_requests.ending("interrupted"))

    async def _end(self, ending: Ending) -> Block:
        await wait_async(self._growing.stop)
        write = _end_of(self._growing, ending, refuse=True)
        block = await self._store._write(write, self._growing.block.context_id, size=size_of(self._growing.length))
        self._growing.settle()
        self._ended = True
        self._dropped.detach()
        return block

    async def _begin(self) -> Self:
        if self._opened is None:
            opening = asyncio.ensure_future(self._open())
            try:
                self._opened = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_cancel_opened)  # it is opened all the same, and nobody would write it
                raise
            self._dropped = _dropped(self, self._opened)
        return self

    def __await__(self) -> Generator[object, None, Self]:
        return self._begin().__await__()

    async def __aenter__(self) -> Self:
        return await self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        refused = await asyncio.shield(self._leave(_ending_for(error)))
        if refused is not None and (error is None or isinstance(refused, LimitExceeded)):
            raise refused

    async def _leave(self, ending: Ending) -> ChatStoreError | None:
        """Ends the block somehow, though nobody may wait for that any more; what refused it is the answer."""
        try:
            await self._end(ending)
        except LimitExceeded as refused:
            await self.fail(refused)
            return refused
        except ChatStoreError as refused:
            self._ended = _end_later(self._growing, refused, ending)
            return refused
        return None


def _shown(writer: object, written: Growing | None, ended: bool) -> str:
    """Which block, and how far; never its text."""
    name = type(writer).__name__
    if written is None:
        return f"<{name} that is not open yet>"
    block = written.block
    state = "ended" if ended else f"{written.length:,} bytes written"
    return f"<{name} of block {block.index} of {block.context_id!r}, {state}>"


def _ending_for(error: BaseException | None) -> Ending:
    if error is None:
        return growing_requests.ending("closed")
    if isinstance(error, _STOPPED):
        return growing_requests.ending("cancelled")
    return growing_requests.ending("failed", error=error)


def _end_of(written: Growing, ending: Ending, *, refuse: bool = False) -> Callable[[Transaction], Block]:
    """The write that ends a block with the rest of its text; `refuse`: unless it is more than the limits."""
    ruled = growing_requests.ruled(ending, written.context, refuse=refuse and ending.state == "closed")
    return written.end_block(ruled)


def _dropped(writer: object, written: Growing) -> finalize[..., Any]:
    """Ends the block of a writer that nobody keeps and nobody ended."""
    abandoned = finalize(writer, written.abandon)
    abandoned.atexit = False
    return abandoned


def _end_later(written: Growing, refused: ChatStoreError, ending: Ending) -> bool:
    """Leaves an end that the database refused to the flusher; whether it did, or the block has ended already."""
    if isinstance(refused, StorageError):
        written.finish_later(_end_of(written, ending))
    return isinstance(refused, (StorageError, *ENDED))


def _cancel_opened(opening: asyncio.Future[Growing]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        written = opening.result()
        written.finish_later(_end_of(written, growing_requests.ending("cancelled")))
