"""Writes that wait for their commit, and how their callers get their answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar, cast

from chatstore.errors import ChatStoreError, StorageError, again
from chatstore.operations.transaction import Transaction

T = TypeVar("T")
Write: TypeAlias = Callable[[Transaction], T]

UNKNOWN = 1_000_000
"""The size of a write that may be large."""

_log = logging.getLogger(__name__)


class Unanswered(StorageError):
    """The answer to a commit was lost: what was written may be stored, or not."""


def size_of(characters: int) -> int:
    """How much a write of so much text has to do, in small blocks of about as much work."""
    return 1 + characters // 10_000


class Pending(Generic[T]):
    """A write that waits for its answer; `synced`: until it is on the disk. `future` is where an event loop waits,
    `size` how much there is to do, about, and `context` the id of the context that it is about, if it is about one."""

    __slots__ = ("context", "error", "future", "outcome", "settled", "size", "synced", "withdrawn", "write")

    def __init__(
        self,
        write: Write[T],
        synced: bool,
        future: asyncio.Future[T] | None = None,
        size: int = UNKNOWN,
        context: str | None = None,
    ) -> None:
        self.write: Write[T] = write
        self.context: str | None = context
        self.synced: bool = synced
        self.future: asyncio.Future[T] | None = future
        self.size: int = size
        self.outcome: T | None = None
        self.error: Exception | None = None
        self.settled: bool = False
        self.withdrawn: bool = False

    def apply(self, transaction: Transaction) -> None:
        """Runs the write; a refusal is its answer and leaves the transaction as it was."""
        self.error = None
        try:
            self.outcome = self.write(transaction)
        except ChatStoreError as refusal:
            self.error = refusal

    def result(self) -> T:
        """The answer. Raises what the write was refused with."""
        if self.error is not None:
            raise self.error
        return cast("T", self.outcome)

    def deliver(self) -> None:
        """Gives the answer to the event loop that waits for it, on that loop."""
        # It is done where its task was cancelled meanwhile: the write is stored all the same.
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result())


def settle(group: Iterable[Pending[Any]], error: Exception | None = None) -> None:
    """They were committed, or failed with an error."""
    for pending in group:
        pending.error = pending.error if error is None else again(error)
        pending.settled = True


def hand_over(group: Iterable[Pending[Any]]) -> None:
    """Wakes every event loop once, with all the answers for it."""
    loops: dict[asyncio.AbstractEventLoop, list[Pending[Any]]] = {}
    for pending in group:
        if pending.future is not None:
            loops.setdefault(pending.future.get_loop(), []).append(pending)
    for loop, answered in loops.items():
        if loop is asyncio._get_running_loop():
            _deliver(answered)
            continue
        try:
            loop.call_soon_threadsafe(_deliver, answered)
        except RuntimeError:  # the loop is closed: nobody waits there any more
            _log.debug("an event loop closed before %d answers", len(answered))


def _deliver(answered: Iterable[Pending[Any]]) -> None:
    for pending in answered:
        pending.deliver()
