"""Changes as JSON and as events, made once for all streams that give out the same one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

from chatstore import BlockAdded, BlockClosed, BlockUpdated, Change, TextAppended
from chatstore.live.paging import weight
from chatstore.server.unsent import Frame
from chatstore.wire import changes, framing

_KEPT: Final = 512
_LONGEST: Final = 16_384
"""Characters of what is kept: longer ones are rare, and so many of them would fill the memory."""
_HEAVY: Final = 65_536
"""Characters of a change above which it is encoded on a thread, once for all that are sent it at that time."""
ENOUGH: Final = 4_000_000
"""Characters of a page of changes, unless the last of them alone brings more."""
_AT_ONCE: Final = 2
"""Threads that do so: each has several copies of what it encodes."""
_Key: TypeAlias = tuple[object, ...]


class Room:
    """What room a page of changes has left."""

    def __init__(self) -> None:
        self._left = ENOUGH

    @property
    def is_light(self) -> bool:
        """Whether to encode it takes no time that others would notice."""
        return ENOUGH - self._left <= _HEAVY

    def takes(self, change: Change) -> bool:
        """Whether there is room for another one behind this."""
        self._left -= weight(change)
        return self._left > 0


def is_heavy(change: Change) -> bool:
    """Whether encoding a change takes so long that others would notice."""
    return weight(change) > _HEAVY


def _key(change: Change) -> _Key:
    """What tells the content of a change from that of any other. Of a block it is shown as it is by now."""
    own = (type(change), change.context_id, change.cursor)
    match change:
        case BlockAdded() | BlockUpdated() | BlockClosed():
            block = change.block
            return (*own, block.id, block.cursor, block.state, block.updated_at, len(block.text))
        case TextAppended():
            return (*own, change.block_id, change.offset, len(change.text))
    return (*own, id(change))


class _Forms:
    """A change, its JSON, and its event with the cursor that it was last sent with: of most streams it is the same."""

    __slots__ = ("change", "cursor", "event", "json")

    def __init__(self, change: Change) -> None:
        self.change = change  # kept, so that no other has its id meanwhile
        self.json = changes.to_json(change)
        self.cursor: str | None = None
        self.event = b""

    def event_at(self, cursor: str | None) -> bytes:
        """The event that goes on behind a cursor."""
        if not self.event or self.cursor != cursor:
            self.event = framing.event(self.json, name=changes.name_of(self.change), id=cursor)
            self.cursor = cursor
        return self.event


class Encoded:
    """The last few changes, in the forms in which they are sent."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, _Forms] = OrderedDict()
        self._beat: tuple[str | None, bytes] = (None, framing.heartbeat(None))
        self._heavy: WeakValueDictionary[_Key, asyncio.Task[Frame]] = WeakValueDictionary()
        self._threads = CapacityLimiter(_AT_ONCE)

    def heavy(
        self, change: Change, make: Callable[[], bytes], form: str | None = None, cursor: str | None = None
    ) -> asyncio.Task[Frame]:
        """A change that is heavy, as `make` frames it; shared by all that are sent it in the same form, behind the same
        cursor, as long as any of them needs it."""
        key = (form, cursor, *_key(change)) if form is not None else (object(),)
        task = self._heavy.get(key)
        if task is None:
            task = self._heavy[key] = asyncio.get_running_loop().create_task(self._made(make))
        return task

    async def _made(self, make: Callable[[], bytes]) -> Frame:
        return Frame(await to_thread.run_sync(make, limiter=self._threads))

    def json(self, change: Change) -> str:
        """A change as a line of JSON."""
        return self._forms(change).json

    def event(self, change: Change, cursor: str | None) -> bytes:
        """A change as a server-sent event, and the cursor to go on behind."""
        return self._forms(change).event_at(cursor)

    def heartbeat(self, cursor: str | None) -> bytes:
        """The sign of life of a stream: of most it is that of the one before."""
        if self._beat[0] != cursor:
            self._beat = cursor, framing.heartbeat(cursor)
        return self._beat[1]

    def _forms(self, change: Change) -> _Forms:
        found = self._kept.get(id(change))
        if found is not None and found.change is change:
            return found
        made = _Forms(change)
        if len(made.json) <= _LONGEST:
            self._kept[id(change)] = made
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made
