"""The newest changes of one history, as the subscriptions of this process share them."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from chatstore.changes import Change
from chatstore.model import JsonValue, Part

Entry: TypeAlias = tuple[int, Change]

MAX_ENTRIES = 512
MAX_CHARACTERS = 1_000_000
"""What a channel keeps for subscriptions that are nearly there; who is further behind reads the database."""


class Waiter(Protocol):
    """A subscription that waits for its channel to move; on an event loop, or on its own thread (None)."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """Where `wake` has to be called; None: on any thread."""

    def wake(self) -> None:
        """Makes it look again. Called without locks held."""


class Channel:
    """A window on the end of one history's log: entries `base + 1` to `head`, without gaps.

    Until someone has caught up there is no window (`head` is None). No I/O and no locks: the hub holds its lock
    around every call.
    """

    __slots__ = (
        "_characters",
        "_entries",
        "base",
        "context_id",
        "failure",
        "head",
        "history_id",
        "subscriptions",
        "waiting",
    )

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        self.history_id: int | None = None
        self.head: int | None = None
        self.base = 0
        self.subscriptions = 0
        self.failure: Exception | None = None
        self.waiting: set[Waiter] = set()
        self._entries: deque[tuple[int, Change, int]] = deque()
        self._characters = 0

    def start(self, position: int) -> bool:
        """Opens the window behind `position`, which somebody has read up to. False where it was open already."""
        if self.head is not None:
            return False
        self.head = self.base = position
        return True

    def extend(self, entries: Iterable[Entry]) -> bool:
        """Adds what follows the head; what is known already is passed over. False at a gap, which stays unfilled."""
        if self.head is None:
            return True
        for sequence, change in entries:
            if sequence <= self.head:
                continue
            if sequence != self.head + 1:
                return False
            self._add(sequence, change)
        return True

    def skip_to(self, head: int) -> None:
        """Gives up the window for one that begins at `head`: subscriptions read the database up to there."""
        self._entries.clear()
        self._characters = 0
        self.head = self.base = head

    def behind(self, position: int) -> Sequence[Entry] | None:
        """The entries after a position; None where the window does not reach back so far."""
        if self.head is None or position < self.base:
            return None
        if position >= self.head:
            return ()
        entries = self._entries
        return [(entries[place][0], entries[place][1]) for place in range(position - self.base, len(entries))]

    def _add(self, sequence: int, change: Change) -> None:
        size = weight((sequence, change))
        self._entries.append((sequence, change, size))
        self._characters += size
        self.head = sequence
        while len(self._entries) > MAX_ENTRIES or (self._characters > MAX_CHARACTERS and len(self._entries) > 1):
            self.base, _, dropped = self._entries.popleft()
            self._characters -= dropped


def weight(entry: Entry) -> int:
    """About how many characters an entry keeps in memory."""
    block = entry[1].block
    return len(block.text) + _weight(block.data) + _weight(block.usage) + sum(map(_weight_of_part, block.parts))


def _weight_of_part(part: Part) -> int:
    return 100 + len(part.text or "") + len(part.url or "")


def _weight(value: JsonValue) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _weight(member) for key, member in value.items())
    return sum(map(_weight, value)) if isinstance(value, list) else 8
