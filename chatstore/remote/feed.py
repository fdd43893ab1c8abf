"""What a remote subscription knows: where it is, what it has ready, whether to connect again. No I/O, no clock.

The server tells with its first event where the subscription begins, and with each one where to go on: so a stream
that broke off is asked for again from there, and nothing is missed or comes twice. Where nothing will follow, the last
event says so; a stream that ends without it has broken off.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from chatstore.changes import Change, TextAppended
from chatstore.cursor import NOW, Cursor
from chatstore.errors import ChatStoreError, InvalidData
from chatstore.remote import answers
from chatstore.remote.answers import Patience
from chatstore.remote.calls import json_body
from chatstore.remote.sse import Event, Events
from chatstore.wire import changes, framing

PROBLEM: Final = "problem"
READY: Final = 512
READY_SIZE: Final = 4_000_000
"""Changes, and characters of their JSON, that are kept for a reader; behind them the connection is left unread."""


class _Ready:
    """A change that nobody has taken yet, with the text that was joined to it, and where to go on behind it."""

    __slots__ = ("_change", "_last", "_length", "_pieces", "cursor", "size")

    def __init__(self, cursor: Cursor, change: Change, size: int) -> None:
        self.cursor = cursor
        self.size = size
        self._change = change
        self._last = change.cursor
        self._pieces = [change.text] if isinstance(change, TextAppended) else []
        self._length = len(self._pieces[0]) if self._pieces else 0

    def joins(self, change: Change, size: int) -> bool:
        """Takes the next piece of the same block, if it is that."""
        mine = self._change
        if not isinstance(mine, TextAppended) or not isinstance(change, TextAppended):
            return False
        # By offsets, which say whether text follows on text whatever else came in between.
        if mine.block_id != change.block_id or change.offset != mine.offset + self._length:
            return False
        self._pieces.append(change.text)
        self._length += len(change.text)
        self._last = change.cursor
        self.size += size
        return True

    def whole(self) -> Change:
        """The change with all its text."""
        if len(self._pieces) < 2:
            return self._change
        return self._change.model_copy(update={"text": "".join(self._pieces), "cursor": self._last})


class Feed:
    """A place in a log at a server. `body`: what is asked for, but for the place and the time."""

    def __init__(
        self,
        path: str,
        body: dict[str, Any],
        after: str | None,
        *,
        follow: bool,
        timeout: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.path = path
        self._body = body
        self._asked = after
        self._follow = follow
        self._timeout = timeout
        self._clock = clock
        self._read_to: str | None = None
        self._handled: Cursor | None = None
        self._ready: deque[_Ready] = deque()
        self._size = 0
        self._events = Events()
        self._last_change = clock()
        self._ended = False

    @property
    def started(self) -> bool:
        """Whether it is known where it begins."""
        return self._read_to is not None

    @property
    def cursor(self) -> Cursor | None:
        """Where to resume."""
        if self._handled is None:
            return None if self._asked in (None, NOW) else Cursor(str(self._asked))
        return self._handled

    @property
    def complete(self) -> bool:
        """Whether nothing more is read."""
        return self._ended

    @property
    def full(self) -> bool:
        """Whether enough is ready for now."""
        return len(self._ready) >= READY or self._size >= READY_SIZE

    def left(self) -> float | None:
        """Seconds of the caller's timeout that are left, if there is one."""
        return None if self._timeout is None else max(0.0, self._last_change + self._timeout - self._clock())

    def request(self) -> bytes:
        """What to ask for now."""
        self._events = Events()
        after = self._asked if self._read_to is None else self._read_to
        own = {"follow": self._follow, "after": after, "timeout": self.left()}
        return json_body({**self._body, **own})

    def take(self) -> Change | None:
        """The next change to give out, if one is ready."""
        if not self._ready:
            return None
        ready = self._ready.popleft()
        self._size -= ready.size
        self._handled = ready.cursor
        self._last_change = self._clock()
        return ready.whole()

    def feed(self, data: bytes, patience: Patience) -> None:
        """Takes a piece of the stream. Raises what the server tells of."""
        try:
            for event in self._events.feed(data):
                # Any whole event shows that the server is there again; a connection alone does not.
                patience.reset()
                self._take_in(event)
        except (ValueError, LookupError, TypeError, RecursionError, ChatStoreError) as error:
            if isinstance(error, ChatStoreError) and not isinstance(error, InvalidData):
                raise
            what = f"an event that cannot be read ({type(error).__name__})"
            raise answers.no_server(answers.AT_HAND, what) from error

    def _take_in(self, event: Event) -> None:
        if event.name == PROBLEM:
            problem = json.loads(event.data)
            raise answers.error_told(problem, int(problem["status"]), answers.AT_HAND)
        if event.id:
            change = changes.from_json(event.data) if event.data else None
            self._read_to = event.id
            self._keep(Cursor(event.id), change, len(event.data))
        self._ended |= event.name == framing.END

    def _keep(self, cursor: Cursor, change: Change | None, size: int) -> None:
        """Makes a change ready; text that follows on text of the same block is joined to it."""
        before = self._ready[-1] if self._ready else None
        if before is not None and (change is None or before.joins(change, size)):
            self._size += size if change is not None else 0
            before.cursor = cursor
        elif change is not None:
            self._ready.append(_Ready(cursor, change, size))
            self._size += size
        else:
            self._handled = cursor

    def broke(self, error: Exception | None, patience: Patience, where: object) -> float:
        """A connection was lost, or not to be had: seconds until the next attempt. Raises where there is to be none."""
        if isinstance(error, ChatStoreError) and not error.retryable:
            raise error
        if self._timeout is not None and not self.left():
            self._ended = True
            return 0.0
        pause = patience.pause()
        if pause is None:
            raise error if isinstance(error, ChatStoreError) else answers.unreachable(where, error) from error
        return pause
