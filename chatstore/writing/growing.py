"""Open blocks of this process: text is gathered where it is written, and committed by one thread for all of them.

`write` never touches the database. The thread commits what there is at once when it is idle, and again no sooner
than GATHER after the last time: so a lone token is stored immediately, and a hundred streams share a transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import TypeAlias
from weakref import WeakSet, WeakValueDictionary

from chatstore.errors import BlockEnded, ContextErased, RunOver, StorageError, StoreClosed
from chatstore.forking import Owner
from chatstore.limits import exceeded
from chatstore.model import Block
from chatstore.operations import growing
from chatstore.operations.transaction import ContextRef
from chatstore.redaction import stream
from chatstore.writing.committer import Committer
from chatstore.writing.drafts import rules_of
from chatstore.writing.pending import Write

GATHER = 0.002
"""Seconds that text may wait for more, beside the time that a commit takes."""
LONGEST_PAUSE, RETRY_AFTER = 5.0, 0.5
PAUSED = 0.05
"""Seconds after which a write waits until it is stored, and so learns at once that it was stopped."""
MAX_WAITING = 1_000_000
"""Characters that one block keeps in memory while the disk is slow; `write` waits above it."""

ENDED = (BlockEnded, RunOver, ContextErased)
"""What refuses text for good."""

_log = logging.getLogger(__name__)
Notify: TypeAlias = Callable[[], None]
Chore: TypeAlias = Callable[[], bool | None]


class Growing:
    """The text of one open block: written, held back by a redactor, on its way, stored."""

    def __init__(self, context: ContextRef, block: Block, flusher: Flusher) -> None:
        self.context = context
        self.block = block
        self.stored = 0
        rules = rules_of(context)
        self._most = rules.limits.block_bytes
        self._redacting = None if rules.redact is None else stream(rules.redact)
        self._flusher = flusher
        self._waiting: list[str] = []
        self._length = self._total = 0
        self._in_flight = ""
        self._error: Exception | None = None
        self._stopped = False
        self._called: list[Notify] = []
        self._lock = threading.Lock()
        self._last = time.monotonic()

    @property
    def length(self) -> int:
        """Bytes written so far, about as many characters."""
        return self._total

    def add(self, text: str, since: float = 0.0) -> bool:
        """Takes text to store; whether the writer may go on at once. Raises what went wrong with earlier text, having
        taken this: after a StorageError all of it is tried again. `since`: when the writer last wrote to any block."""
        self._flusher.owner.check()
        with self._lock:
            if isinstance(self._error, ENDED):
                self._raise_error()
            if self._stopped:
                raise BlockEnded("the block has ended; text is appended to open blocks only")
            total = self._total + (len(text) if text.isascii() else len(text.encode()))
            if total > self._most:
                raise exceeded(f"an open block of {total:,} bytes (end it and open another)", "block_bytes", self._most)
            if self._redacting is not None:
                text = self._redacting.feed(text)
            self._total = total
            if text:
                self._waiting.append(text)
            self._raise_error()
            now = time.monotonic()
            paused, self._last = now - max(self._last, since) > PAUSED, now
            self._length += len(text)
            room = self._length < MAX_WAITING
        self._flusher.mark(self)
        return room and not paused

    def take(self) -> tuple[int, str] | None:
        """Text to commit next, with its offset; None while there is none, or some is on its way."""
        with self._lock:
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
            elif not isinstance(error, ENDED):
                self._waiting.insert(0, self._in_flight)
                self._length += len(self._in_flight)
            self._in_flight = ""
            self._error = error or self._error
            again = bool(self._waiting) and error is None and not self._stopped
            called, self._called = ([], self._called) if again else (self._called, [])
        if again:
            self._flusher.mark(self)
        for notify in called:
            notify()

    def when_stored(self, notify: Notify) -> None:
        """Calls back once all text is stored, or an error is there to raise. At once, if so now."""
        self._flusher.owner.check()
        with self._lock:
            waiting = (self._waiting or self._in_flight) and self._error is None and not self._stopped
            if waiting:
                self._called.append(notify)
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
                self._called.append(notify)
        if not waiting:
            notify()

    def rest(self) -> str:
        """The text that is not stored yet, to go in with the end of the block; that which was held back is in it.
        Raises what went wrong."""
        with self._lock:
            if isinstance(self._error, ENDED):
                raise copy(self._error)
            if self._redacting is not None:
                self._waiting.append(self._redacting.end())
            return "".join(self._waiting)

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

    def _raise_error(self) -> None:
        error = self._error
        if error is not None:
            if not isinstance(error, ENDED):
                self._error = None
            # A copy: the one that is kept would keep the caller's frames, and with them the writer.
            raise copy(error)


class Flusher:
    """The thread that commits the text of open blocks, and does what else has to be done from time to time."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._lock = threading.Condition()
        self._marked: dict[Growing, None] = {}
        self._chores: list[tuple[float, float, Chore]] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._ended = False
        self.owner = Owner()
        self.abandoned: deque[Growing] = deque()
        self.runs: WeakValueDictionary[str, object] = WeakValueDictionary()
        self._growing: WeakSet[Growing] = WeakSet()
        self.unfinished: deque[Write[object]] = deque()

    def join(self, block: Growing) -> None:
        """Knows of a block from now on."""
        with self._lock:
            self._growing.add(block)

    def of_run(self, run_id: str) -> list[Growing]:
        """The blocks of a run that this process writes."""
        with self._lock:
            return [block for block in self._growing if block.block.run_id == run_id]

    def finish_later(self, write: Write[object]) -> None:
        """Commits what the database refused, again and again until it takes it, so that nothing stays open."""
        with self._lock:
            self.unfinished.append(write)
            self._start()
            self._lock.notify()

    def mark(self, block: Growing) -> None:
        """There is text of this block to commit."""
        with self._lock:
            if self._ended or (self._closed and threading.current_thread() is not self._thread):
                raise StoreClosed("the store is closed; open it again to write")
            idle = not self._marked
            self._marked[block] = None
            self._start()
            if idle:
                self._lock.notify()

    def every(self, seconds: float, chore: Chore) -> None:
        """Has something done from time to time, for as long as this process writes open blocks; at once
        again if it returns True."""
        with self._lock:
            self._chores.append((time.monotonic() + seconds, seconds, chore))
            self._lock.notify()

    def close(self) -> None:
        """Commits what there is and ends the thread."""
        with self._lock:
            self._closed = True
            self._ended = self._thread is None
            self._lock.notify()
        if self._thread is not None:
            self._thread.join()

    def start(self) -> None:
        """Starts the thread, for what is to be done from time to time."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._serve, name="chatstore-flusher", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._marked and not self._closed and (pause := self._pause()) > 0:
                    self._lock.wait(pause)
                marked, self._marked = self._marked, {}
                if self._closed and not marked:
                    self._ended = True
                    return
            try:
                self._flush([*marked])
                self._end_abandoned()
                self._finish()
            except Exception:
                _log.exception("text could not be committed, and is tried again with the next")
            self._do_chores()
            time.sleep(GATHER)

    def _flush(self, blocks: list[Growing]) -> None:
        taken = [(block, piece) for block in blocks if (piece := block.take()) is not None]
        if not taken:
            return
        writes = [
            (
                partial(growing.write_text, context=block.context, index=block.block.index, offset=offset, text=text),
                block.context.context_id,
            )
            for block, (offset, text) in taken
        ]
        for (block, _), error in zip(taken, self._committer.run_all(writes, synced=False), strict=True):
            block.done(error)

    def _end_abandoned(self) -> None:
        """Ends blocks whose writers were dropped, as interrupted: no block stays open for ever.

        Those of a run of this process end with the run, and as it does.
        """
        for _ in range(len(self.abandoned)):
            block = self.abandoned.popleft()
            if block.block.run_id in self.runs:
                self.abandoned.append(block)
                continue
            try:
                rest = block.rest()
            except ENDED:
                continue  # somebody else ended it
            ending = growing.Ending("interrupted")
            write = partial(growing.end_block, context=block.context, index=block.block.index, rest=rest, ending=ending)
            self.unfinished.append(write)

    def _finish(self) -> None:
        """Tries what is unfinished; what is refused for good has ended some other way."""
        for _ in range(len(self.unfinished)):
            write = self.unfinished.popleft()
            [error] = self._committer.run_all([(write, None)])
            if isinstance(error, StorageError):
                self.unfinished.append(write)

    def _pause(self) -> float:
        if self.unfinished:
            return RETRY_AFTER
        return min((due for due, _, _ in self._chores), default=time.monotonic() + LONGEST_PAUSE) - time.monotonic()

    def _do_chores(self) -> None:
        now = time.monotonic()
        for place, (due, seconds, chore) in enumerate(self._chores):
            if due <= now and not self._closed:
                self._chores[place] = (now if self._do(chore) else now + seconds, seconds, chore)

    def _do(self, chore: Chore) -> bool:
        try:
            return bool(chore())
        except Exception as error:
            _log.warning("%s failed, and is tried again: %s", getattr(chore, "__name__", chore), error)
            return False
