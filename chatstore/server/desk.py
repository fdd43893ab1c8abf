"""What is open on behalf of callers elsewhere: blocks that they write to, runs that they work on.

The server holds the writer, and ends it as interrupted when its caller was silent for longer than the lease: whether
that died or was cut off, nobody waits for it for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from chatstore import AsyncBlockWriter, AsyncHistory, AsyncRunHandle, AsyncRunScope, Block, Run
from chatstore.errors import (
    BlockEnded,
    ChatStoreError,
    KeyConflict,
    RunCancelled,
    RunInterrupted,
    RunOver,
)
from chatstore.model import JsonValue
from chatstore.server.forms import ErrorGiven
from chatstore.server.problems import Problem

_log = logging.getLogger(__name__)
_COMPARED: Final = 256 * 1024
"""Characters at the end of an open block with which what is sent again is compared, beside the last piece."""


class _Open:
    """Something that a caller has open, and when it was last heard of."""

    def __init__(self, id: str, context_id: str) -> None:
        self.id = id
        self.context_id = context_id
        self.lock: asyncio.Lock = asyncio.Lock()
        self.heard: float = 0.0
        self.touch()

    def touch(self) -> None:
        """The caller lives."""
        self.heard = asyncio.get_running_loop().time()


class OpenBlock(_Open):
    """A block that a caller writes to."""

    def __init__(self, writer: AsyncBlockWriter) -> None:
        super().__init__(writer.block.id, writer.block.context_id)
        self._writer = writer
        self._length = 0
        self._last: deque[tuple[int, str]] = deque()

    async def write(self, offset: int, text: str) -> int:
        """Appends the text that stands at an offset, and returns the length once that is stored. What was written
        before is not written again."""
        async with self.lock:
            self.touch()
            if offset > self._length:
                detail = (
                    f"the text has {self._length:,} characters, and {offset:,} leaves a gap; send what lies between"
                )
                raise Problem(409, "offset_conflict", detail, length=self._length)
            self._compare(offset, text)
            rest = text[self._length - offset :]
            if rest:
                await self._take(rest)
            await self._writer.flush()
            return self._length

    def _compare(self, offset: int, text: str) -> None:
        """Refuses text that stands where other text does. What was sent long before is not known any more."""
        for start, known in self._last:
            first, end = max(start, offset), min(start + len(known), offset + len(text))
            if first < end and known[first - start : end - start] != text[first - offset : end - offset]:
                raise KeyConflict(
                    f"other text was stored at the characters from {first:,} on; the text goes on at {self._length:,}"
                )

    async def _take(self, text: str) -> None:
        self._last.append((self._length, text))
        self._length += len(text)
        try:
            await self._writer.write(text)
        except ChatStoreError:
            self._last.pop()
            self._length -= len(text)  # a write that raises has not taken its text
            raise
        while len(self._last) > 1 and self._length - self._last[1][0] >= _COMPARED:
            self._last.popleft()

    async def end(self, state: str, data: JsonValue, usage: dict[str, JsonValue] | None, error: RemoteError) -> Block:
        """Ends the block."""
        async with self.lock:
            match state:
                case "closed":
                    return await self._writer.close(data=data, usage=usage)
                case "failed":
                    return await self._writer.fail(error)
                case "cancelled":
                    return await self._writer.cancel()
            await self._writer.interrupt()
            return self._writer.block

    async def interrupt(self) -> None:
        """Ends it, for its caller is gone."""
        async with self.lock:
            await self._writer.interrupt()


class RemoteError(Exception):
    """An error that a caller told of: its type's name, and its message."""


def told_error(given: ErrorGiven | None = None) -> RemoteError:
    """The error that a caller told of, of a type that is known by its name alone."""
    given = given or ErrorGiven()
    # It becomes the name of a class, under which the error is stored.
    named = given.type if given.type.isidentifier() else "Error"
    error: RemoteError = type(named, (RemoteError,), {})(given.message)
    return error


class OpenRun(_Open):
    """A run that a caller works on: begun by itself, or with the message that it answers."""

    def __init__(
        self, id: str, context_id: str, *, scope: AsyncRunScope | None = None, work: Submitted | None = None
    ) -> None:
        super().__init__(id, context_id)
        self._scope = scope
        self._work = work

    async def end(self, state: str, usage: dict[str, JsonValue] | None, error: RemoteError) -> None:
        """Ends the run."""
        async with self.lock:
            if self._work is not None:
                await self._work.end(state, usage, error)
                return
            assert self._scope is not None
            if usage is not None:
                self._scope.set_usage(usage)
            if state == "interrupted":
                await self._scope.interrupt()
            elif state == "completed":
                await self._scope.__aexit__(None, None, None)
            else:
                raised: BaseException = asyncio.CancelledError() if state == "cancelled" else error
                await self._scope.__aexit__(type(raised), raised, None)

    async def interrupt(self) -> None:
        """Ends it, for its caller is gone."""
        await self.end("interrupted", None, told_error())


class Submitted:
    """The work on a submission, which is done elsewhere: an agent that waits to be told how it ended."""

    def __init__(self) -> None:
        self._end: asyncio.Future[tuple[str, RemoteError]] = asyncio.get_running_loop().create_future()
        self.handle: AsyncRunHandle[None] | None = None

    async def __call__(self, history: AsyncHistory, prompt: str) -> None:
        """The agent."""
        state, error = await self._end
        if state == "cancelled":
            raise asyncio.CancelledError
        if state == "failed":
            raise error

    async def end(self, state: str, usage: dict[str, JsonValue] | None, error: RemoteError) -> None:
        """Has the agent end, and waits until the run has."""
        assert self.handle is not None
        if usage is not None:
            self.handle.set_usage(usage)
        if state == "interrupted":
            await self.handle.interrupt()
        if not self._end.done():
            self._end.set_result((state, error))
        with suppress(RemoteError, RunOver, asyncio.CancelledError):
            await self.handle.result()


class Desk:
    """All that is open on behalf of callers."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._blocks: dict[str, OpenBlock] = {}
        self._runs: dict[str, OpenRun] = {}
        self._task: asyncio.Task[None] | None = None

    def open_block(self, writer: AsyncBlockWriter) -> None:
        """Keeps a block that was opened."""
        block = OpenBlock(writer)
        self._blocks[block.id] = block
        self._watch()

    def open_run(self, run: OpenRun) -> None:
        """Keeps a run that was begun."""
        self._runs[run.id] = run
        self._watch()

    def block(self, id: str, context_id: str) -> OpenBlock | None:
        """The block of a context, if it is open here."""
        found = self._blocks.get(id)
        return found if found is not None and found.context_id == context_id else None

    def run(self, id: str, context_id: str) -> OpenRun | None:
        """The run of a context, if it is worked on through this server."""
        found = self._runs.get(id)
        return found if found is not None and found.context_id == context_id else None

    def drop_block(self, id: str) -> None:
        """It has ended."""
        self._blocks.pop(id, None)

    def drop_run(self, id: str) -> None:
        """It has ended."""
        self._runs.pop(id, None)

    def renew(self, blocks: Iterable[str], runs: Iterable[str], reaches: Callable[[str], bool]) -> list[str]:
        """Their callers live; the ids of those that are not open here any more, or not within the caller's reach."""
        named: list[tuple[str, _Open | None]] = [(id, self._blocks.get(id)) for id in blocks]
        named += [(id, self._runs.get(id)) for id in runs]
        kept = {id: one for id, one in named if one is not None and reaches(one.context_id)}
        for one in kept.values():
            one.touch()
        return [id for id, _ in named if id not in kept]

    async def close(self) -> None:
        """Interrupts all that is open."""
        if self._task is not None:
            self._task.cancel()
        for one in self._all():
            await self._interrupt(one)

    def _watch(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        clock, pause = asyncio.get_running_loop().time, self._lease / 10
        while True:
            due = clock() + pause
            await asyncio.sleep(pause)
            # Nobody could be heard while this process stood still. While the machine sleeps, the clock does, too.
            now, late = clock(), clock() - due
            for one in self._all():
                one.heard = min(now, one.heard + late)
            for one in self._all():
                if one.heard < now - self._lease:  # as it is now: while others were ended, it may have been heard of
                    await self._interrupt(one)

    def _all(self) -> list[OpenBlock | OpenRun]:
        return [*self._blocks.values(), *self._runs.values()]

    async def _interrupt(self, one: OpenBlock | OpenRun) -> None:
        try:
            await one.interrupt()
        except ChatStoreError as error:
            _log.warning("what a silent caller left open could not be ended: %s", error)
        if isinstance(one, OpenBlock):
            self.drop_block(one.id)
        else:
            self.drop_run(one.id)


def ended_elsewhere(found: Block | Run, wanted: str) -> ChatStoreError:
    """The error for what is not open here, and did not end as it should now."""
    detail = f"it is not open through this server any more: it is {found.state}, and not {wanted}"
    if found.state == "interrupted":
        return RunInterrupted(f"{detail}; start a new run")
    if isinstance(found, Run):
        return RunCancelled(f"{detail}; stop working on it") if found.state == "cancelled" else RunOver(detail)
    return BlockEnded(detail)
