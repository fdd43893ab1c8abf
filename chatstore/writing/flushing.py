"""The flusher: one thread of this process that commits the text of all its open blocks.

It commits what there is at once when it is idle, and again no sooner than GATHER after the last time: so a lone token
is stored immediately, and a hundred streams share a transaction. The same thread ends what was left open, and does
chores: what has to be done from time to time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol, TypeAlias
from weakref import WeakSet, WeakValueDictionary

from chatstore.errors import StorageError, StoreClosed, StoreDamaged, StoreReplaced
from chatstore.forking import Owner
from chatstore.operations.growing import Ending
from chatstore.writing.growing import ENDED, Growing
from chatstore.writing.pending import Write

GATHER = 0.002
"""Seconds that text may wait for more, beside the time that a commit takes."""
LONGEST_PAUSE = 5.0
"""Seconds between two looks for blocks that were abandoned, where no chore comes sooner."""
RETRY_AFTER = 0.5
"""Seconds after which an end that the database refused is tried again."""

_log = logging.getLogger(__name__)
Chore: TypeAlias = Callable[[], bool | None]
"""Returns True if there is more to do at once."""


class Commits(Protocol):
    """What commits writes: a Committer, as far as it is needed here."""

    def run_all(
        self, writes: Iterable[tuple[Write[object], str | None]], *, synced: bool = True
    ) -> list[Exception | None]:
        """Commits several writes, each with its context, and returns the error of each."""


class Flusher:
    """The thread and what it has to do. It starts with the first thing that is to be done."""

    def __init__(self, committer: Commits) -> None:
        self._committer = committer
        self._lock = threading.Condition()
        # Not a set: what a commit writes is in the order in which it was written, and the same steps make the same log.
        self._marked: dict[Growing, None] = {}
        self._chores: list[tuple[float, float, Chore]] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._ended = False
        self._growing: WeakSet[Growing] = WeakSet()
        self.owner: Owner = Owner()
        self.runs: WeakValueDictionary[str, object] = WeakValueDictionary()
        """The runs of this process that go on, by their ids: they end their own blocks."""
        # Both are appended to by the garbage collector, on any thread and wherever that is: no lock may be needed.
        self.abandoned: deque[Growing] = deque()
        """Blocks whose writers are gone, and which nobody ended."""
        self.unfinished: deque[Write[object]] = deque()
        """Writes that end a block or a run, and are to be tried until the database takes them."""

    def join(self, block: Growing) -> None:
        """Keeps a block in mind until nobody holds it any more."""
        with self._lock:
            self._growing.add(block)

    @property
    def growing(self) -> list[Growing]:
        """The blocks that this process writes."""
        with self._lock:
            return [*self._growing]

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
                # The thread itself may still mark what came with its last commit; once it has ended, nobody would take
                # it.
                raise StoreClosed("the store is closed; open it again to write")
            idle = not self._marked
            self._marked[block] = None
            self._start()
            if idle:
                self._lock.notify()

    def every(self, seconds: float, chore: Chore) -> None:
        """Has something done from time to time, once the thread runs; again at once if it returns True."""
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
        """Starts the thread, for its chores."""
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
                over = self._ended = self._closed and not marked
            try:
                self._flush([*marked])
                self._end_abandoned()
                self._finish()
            except Exception:
                _log.exception("text could not be committed, and is tried again with the next")
            if over:
                return  # not before what was left to this thread was tried
            self._do_chores()
            time.sleep(GATHER)

    def _flush(self, blocks: list[Growing]) -> None:
        taken = [(block, piece) for block in blocks if (piece := block.take()) is not None]
        if not taken:
            return
        writes = [(block.write_text(offset, text), block.context.context_id) for block, (offset, text) in taken]
        # Never synced: with "message" the end of the block is, and its row has the whole text.
        for (block, _), error in zip(taken, self._committer.run_all(writes, synced=False), strict=True):
            block.done(error)

    def _end_abandoned(self) -> None:
        """Ends blocks whose writers were dropped, as interrupted: no block stays open for ever.

        Those of a run of this process end with the run, and as it does.
        """
        # By a count: the garbage collector may add at any moment, and some are put back.
        for _ in range(len(self.abandoned)):
            block = self.abandoned.popleft()
            if block.block.run_id in self.runs:
                self.abandoned.append(block)
                continue
            # Its rest goes in with its end, which may have to be tried again: until then nothing of it may be committed
            # as a piece, or it would be there twice. Nothing is on its way, for that is this thread's work.
            block.stop(lambda: None)
            with suppress(*ENDED):  # somebody else ended it
                self.unfinished.append(block.end_block(Ending("interrupted")))

    def _finish(self) -> None:
        """Tries what is unfinished; what is refused for good has ended some other way."""
        for _ in range(len(self.unfinished)):
            write = self.unfinished.popleft()
            [error] = self._committer.run_all([(write, None)])
            if isinstance(error, (StoreDamaged, StoreReplaced)):  # and so would all further tries be
                _log.warning("the end of a block or a run is given up, which stays open: %s", error)
            elif isinstance(error, StorageError):
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
