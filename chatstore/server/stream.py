"""An answer that goes on: what a subscription gives, framed and sent as it comes.

A client that reads slowly is waited for, here and nowhere else: its subscription gives out nothing meanwhile, and is
fed from the database when it goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatstore import Change
from chatstore.errors import ChatStoreError, StoreClosed
from chatstore.server.access import Access
from chatstore.server.encoded import is_heavy
from chatstore.server.feeds import Subscribed
from chatstore.server.problems import Problem, answer_to
from chatstore.server.service import Service
from chatstore.server.unsent import SLICE, Frame
from chatstore.wire import framing

Framed = Callable[[Change, str | None], Iterable[bytes]]
"""Frames a change; with it goes the cursor to resume at behind it."""
PUSH: Final = "chatstore.push"
"""The extension of a server that takes a piece of a body at once, and says whether it did."""
ABORT: Final = "chatstore.abort"
"""The extension of a server that can leave a client that does not read."""
CLOSE: Final = "chatstore.close"
"""The extension of a server that can close a connection behind what was sent, whatever was to follow."""
PATIENCE: Final = 60.0
"""Seconds that a client has to read the rest of what was broken off."""
AT_ONCE: Final = 10
"""Changes that are sent before others have their turn; so many are in vain where the client is gone."""


class StreamResponse(Response):
    """Sends each change of a subscription in frames of its protocol. `first`: changes that were taken from it already.

    `beat` makes a sign of life from the cursor to resume at; `failed` the frames that tell of an error; `last` those
    behind the last change, which is the one after which `until` holds. `form` names what `frame` makes of a change, if
    that is the same for all that are at the same cursor. Where `whole` does not hold in the end, the body is broken
    off: for protocols whose clients know by its end alone that they have all of it.
    """

    idle_since: float
    _ahead: bool = True
    """Whether the cursor is behind a change that was not sent yet."""
    # What the server can do with the connection, once it is known.
    _abort: Callable[[], None] | None = None
    _close: Callable[[], None] | None = None

    def __init__(
        self,
        service: Service,
        access: Access,
        subscription: Subscribed,
        frame: Framed,
        *,
        media_type: str,
        form: str | None = None,
        first: Iterable[Change] = (),
        beat: Callable[[str | None], bytes] | None = None,
        failed: Callable[[ChatStoreError], Iterable[bytes]] | None = None,
        last: Callable[[], Iterable[bytes]] | None = None,
        until: Callable[[], bool] | None = None,
        whole: Callable[[], bool] | None = None,
        before: Iterable[bytes] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(headers={**framing.STREAM_HEADERS, **(headers or {})}, media_type=media_type)
        # Starlette gives an answer without a body the length 0.
        del self.headers["content-length"]
        self._service, self._access, self._subscription = service, access, subscription
        self._frame, self._beat, self._failed, self._last = frame, beat, failed, last
        self._until, self._whole, self._form, self._first, self._before = until, whole, form, first, before
        self._turn = asyncio.Lock()  # what is sent in slices is not broken into
        self._stopped = self._dropped = False
        self._at_once, self.idle_since = 0, 0.0
        self._send: Send | None = None
        self._push: Callable[[bytes], bool] | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._beats: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one client."""
        try:
            self._service.streams.join(self, self._access.subject)  # others may have come in since it was asked first
            await self._subscription.__aenter__()  # of a wrong cursor a stream could only tell by breaking off
        except (Problem, ChatStoreError) as refused:
            self._service.streams.leave(self)
            await self._subscription.close()
            await answer_to(refused)(scope, receive, send)
            return
        self._send = send
        extensions = scope.get("extensions", {})
        self._push, self._abort, self._close = (extensions.get(name) for name in (PUSH, ABORT, CLOSE))
        try:
            await self._serve(receive, send)
        finally:
            self._service.streams.leave(self)

    async def _serve(self, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self.idle_since = loop.time()
        gone = loop.create_task(self._until_gone(receive))
        expires = None
        if self._access.expires_at is not None:
            # Looked at once when it begins, a token would hold for as long as its stream is open.
            expires = loop.call_later(self._access.expires_at - time.time(), self.stop)
        self._service.pulse.join(self)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            # Woken in a task of its own, it is not resumed through all the layers of an application.
            self._pumping = loop.create_task(self._pump())
            await self._pumping
            await self._end(send, gone)
        except asyncio.CancelledError:
            if not self._dropped:
                raise
        finally:
            self._service.unsent.release(self)
            self._service.pulse.leave(self)
            if expires is not None:
                expires.cancel()
            gone.cancel()
            for beat in self._beats:
                beat.cancel()
            await self._subscription.close()

    async def _end(self, send: Send, gone: asyncio.Task[None]) -> None:
        if self._whole is None or self._whole():
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif self._close is not None:
            self._close()
            await asyncio.wait([gone], timeout=PATIENCE)  # it may not have read all of it

    async def _until_gone(self, receive: Receive) -> None:
        with suppress(Problem):  # of a body, which nobody asked for
            while (await receive())["type"] != "http.disconnect":
                pass
        self.stop()

    def stop(self) -> None:
        """Ends the stream behind what was sent."""
        self._stopped = True
        self._subscription.stop()

    def drop(self) -> None:
        """Ends the stream where it is: its client does not read."""
        self._dropped = True
        if self._abort is not None:
            self._abort()  # which is how a client that is gone looks
        elif self._pumping is not None:
            self._pumping.cancel()

    async def _pump(self) -> None:
        try:
            for data in self._before:
                await self._deliver(data)
            for change in self._first:
                await self._give(self._framed(change))
            self._ahead = False
            async for change in self._subscription:
                if self._stopped or self._access.expired:  # timers stand still while a machine sleeps
                    return
                self._ahead = True
                made = self._framed(change)
                del change  # while the client is waited for, only what it is sent is kept
                await self._give(made)
                self._ahead = False
                del made
                if self._until is not None and self._until():
                    break
        except StoreClosed:
            return  # the server ends; the client comes back
        except ChatStoreError as error:
            for data in () if self._failed is None else self._failed(error):
                await self._deliver(data)
            return
        for data in () if self._last is None or self._stopped else self._last():
            await self._deliver(data)

    def _framed(self, change: Change) -> bytes | asyncio.Task[Frame]:
        cursor = self._subscription.cursor
        self._service.metrics.delivered.tell(change)
        if not is_heavy(change):
            return b"".join(self._frame(change, cursor))
        make = partial(_joined, self._frame, change, cursor)
        return self._service.encoded.heavy(change, make, self._form, cursor)

    async def _give(self, made: bytes | asyncio.Task[Frame]) -> None:
        if isinstance(made, asyncio.Task):
            # Made once for all that are to get it: the client that leaves first must not break it off.
            frame = await asyncio.shield(made)
            self._service.unsent.keep(self, frame)
            await self._deliver(frame.data)
            self._service.unsent.release(self)
        elif made:
            if self._push is None or self._turn.locked() or len(made) > SLICE or not self._push(made):
                await self._wait_and_send(made)
            self._sent(made)
        # Of what is ready, nothing has to be waited for: who catches up would keep the loop to itself.
        self._at_once += 1
        if self._at_once >= AT_ONCE:
            self._at_once = 0
            # Sending what fits into the buffers never suspends, and neither does taking what is ready.
            await asyncio.sleep(0)

    async def _deliver(self, data: bytes) -> None:
        await self._wait_and_send(data)
        self._sent(data)

    async def _wait_and_send(self, data: bytes) -> None:
        assert self._send is not None
        async with self._turn:
            for start in range(0, len(data), SLICE):
                piece = data if len(data) <= SLICE else data[start : start + SLICE]
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                self._service.unsent.moved(self)

    def _sent(self, data: bytes) -> None:
        self._service.metrics.delivered.bytes += len(data)
        self.idle_since = asyncio.get_running_loop().time()
        self._service.pulse.moved(self)

    def beat(self) -> None:
        """Sends a sign of life, unless the client has not read the last yet, or a change is to be sent. A cursor that
        led behind that would have it missed, if the stream broke off in between."""
        self.idle_since = asyncio.get_running_loop().time()
        if self._turn.locked() or self._ahead or self._beat is None or self._stopped or self._pushed(self._beat):
            return
        task = asyncio.get_running_loop().create_task(self._deliver_beat(self._beat))
        self._beats.add(task)
        task.add_done_callback(self._beats.discard)

    def _pushed(self, beat: Callable[[str | None], bytes]) -> bool:
        """Whether the server could be given it at once: a task for each would cost as much again."""
        return self._push is not None and self._push(beat(self._subscription.cursor))

    async def _deliver_beat(self, beat: Callable[[str | None], bytes]) -> None:
        if self._turn.locked() or self._ahead or self._stopped:  # a change is a sign of life too
            return
        # The cursor is asked for here: behind a change that was sent meanwhile, an older one would lead back.
        with suppress(OSError):
            await self._wait_and_send(beat(self._subscription.cursor))


def _joined(frame: Framed, change: Change, cursor: str | None) -> bytes:
    return b"".join(frame(change, cursor))
