"""The text of an open block between its writer and the disk: gathered where it is written, taken by the flusher.

`write` never touches the database: it adds to what waits here, and marks the block for the flusher's thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from chatstore.errors import BlockEnded, ContextErased, RunOver, again
from chatstore.limits import exceeded
from chatstore.model import Block
from chatstore.operations import growing
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.redaction import stream
from chatstore.writing.drafts import rules_of
from chatstore.writing.pending import Unanswered, Write

if TYPE_CHECKING:
    from chatstore.writing.flushing import Flusher

PAUSED = 0.05
"""Seconds without a write after which the next one waits until it is stored: so a slow writer learns at once that it
was stopped."""
MAX_WAITING = 1_000_000
"""Characters that one block keeps in memory while the disk is slow; `write` waits above it."""

ENDED = (BlockEnded, RunOver, ContextErased)
"""What refuses text for good."""

Notify: TypeAlias = Callable[[], None]


class Growing:
    """The text of one open block: written, held back by a redactor, on its way, stored."""

    def __init__(self, context: ContextRef, block: Block, flusher: Flusher) -> None:
        self.context = context
        self.block = block
        self.stored: int = 0
        rules = rules_of(context)
        self._most = rules.limits.block_bytes
        self._redacting = None if rules.redact is None else stream(rules.redact)
        self._flusher = flusher
        self._waiting: list[str] = []
        self._length = self._total = 0
        self._in_flight = ""
        self._doubtful = False
        self._error: Exception | None = None
        self._made: Block | None = None
        self._stopped = False
        self._called: list[tuple[int, Notify]] = []
        self._lock = threading.Lock()
        self._last = time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether it takes no more text."""
        return self._stopped

    @property
    def length(self) -> int:
        """Bytes of text written so far."""
        return self._total

    def add(self, text: str, since: float = 0.0) -> bool:
        """Takes text to store; whether the writer may go on at once. Raises what went wrong with earlier text, without
        taking this: who repeats the call gives it once. `since`: when the writer last wrote to any block."""
        self._flusher.owner.check()
        with self._lock:
            self._raise_error()
            if self._stopped:
                raise BlockEnded("the block has ended; text is appended to open blocks only")
            # `isascii` is known of a string without looking through it; what is not ASCII is encoded to be measured.
            total = self._total + (len(text) if text.isascii() else len(text.encode()))
            if total > self._most:
                raise exceeded(f"an open block of {total:,} bytes (end it and open another)", "block_bytes", self._most)
            if self._redacting is not None:
                text = self._redacting.feed(text)
            self._total = total
            if text:
                self._waiting.append(text)
                self._length += len(text)
            now = time.monotonic()
            paused, self._last = now - max(self._last, since) > PAUSED, now
            room = self._length < MAX_WAITING
        self._flusher.mark(self)
        return room and not paused

    def take(self) -> tuple[int, str] | None:
        """Text to commit next, with its offset; None while there is none, or some is on its way."""
        with self._lock:
            # One piece at a time: the offset of the next is known when this one is stored.
            if self._in_flight or self._stopped or not self._waiting:
                return None
            self._in_flight = "".join(self._waiting)
            self._waiting = []
            self._length = 0
            return self.stored, self._in_flight

    def done(self, error: Exception | None) -> None:
        """The commit of what was taken has ended. What the disk refused is kept and tried again with the next text;
        what came too late is not."""
        with self._lock:
            if error is None:
                self.stored += len(self._in_flight)
                self._doubtful = False
            elif not isinstance(error, ENDED):
                # In front: its offset is the one that the next piece begins at.
                self._waiting.insert(0, self._in_flight)
                self._length += len(self._in_flight)
                # Until it is known to be stored, whatever becomes of the tries in between.
                self._doubtful |= isinstance(error, Unanswered)
            self._in_flight = ""
            self._error = error or self._error
            again = bool(self._waiting) and error is None and not self._stopped
            called = [notify for end, notify in self._called if not again or end <= self.stored]
            self._called = [(end, notify) for end, notify in self._called if again and end > self.stored]
        if again:
            self._flusher.mark(self)
        for notify in called:
            notify()

    def when_stored(self, notify: Notify) -> None:
        """Calls back once all text that is written by now is stored, or an error is there to raise. At once, if so
        now."""
        self._flusher.owner.check()
        with self._lock:
            waiting = (self._waiting or self._in_flight) and self._error is None and not self._stopped
            if waiting:
                # Not for emptiness, which beside a steady writer might never come.
                self._called.append((self.stored + len(self._in_flight) + self._length, notify))
        if waiting:
            self._flusher.mark(self)
        else:
            notify()

    def stop(self, notify: Notify) -> None:
        """Commits nothing more, and calls back once nothing is on its way."""
        self._flusher.owner.check()
        with self._lock:
            self._stopped = True
            waiting = bool(self._in_flight)
            if waiting:
                self._called.append((0, notify))
        if not waiting:
            notify()

    def rest(self) -> growing.Rest:
        """The text that is not known to be stored, to go in with the end of the block; that which was held back is in
        it. Raises what went wrong."""
        with self._lock:
            if isinstance(self._error, ENDED):
                raise again(self._error)
            if self._redacting is not None:
                self._waiting.append(self._redacting.end())
            return growing.Rest(self.stored, "".join(self._waiting))

    def write_text(self, offset: int, text: str) -> Write[None]:
        """The write that stores a piece of the text."""
        context, index = self.context, self.block.index
        return partial(
            growing.write_text, context=context, index=index, offset=offset, text=text, doubtful=self._doubtful
        )

    def end_block(self, ending: growing.Ending) -> Write[Block]:
        """The write that ends the block with the rest of its text. Raises what went wrong with that."""
        return partial(self._end, rest=self.rest(), ending=ending)

    def _end(self, transaction: Transaction, rest: growing.Rest, ending: growing.Ending) -> Block:
        # What one try makes, the next one knows as its own: the first may be stored, and only its answer lost.
        self._made = growing.end_block(transaction, self.context, self.block.index, rest, ending, self._made)
        return self._made

    def settle(self) -> None:
        """Its end is known to be stored: another one is refused."""
        self._made = None

    def finish_later(self, write: Write[object]) -> None:
        """Has a write that ends the block committed as soon as the database takes it."""
        self._flusher.finish_later(write)

    def abandon(self) -> None:
        """Nobody writes the block any more, and nobody ended it. Called by the garbage collector, wherever it is."""
        self._flusher.abandoned.append(self)

    def check(self) -> None:
        """Raises what went wrong with the text so far, once."""
        with self._lock:
            self._raise_error()

    def check_open(self) -> None:
        """Raises what refused the text for good. What the disk refused is kept, and so is the error, for the next call:
        this one's text was taken."""
        with self._lock:
            if isinstance(self._error, ENDED):
                self._raise_error()

    def _raise_error(self) -> None:
        error = self._error
        if error is not None:
            if not isinstance(error, ENDED):
                self._error = None
            # A copy: the one that is kept would keep the caller's frames, and with them the writer.
            raise again(error)
