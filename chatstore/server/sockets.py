"""The same feeds over WebSockets: a text message of JSON for each change."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from chatstore import Change
from chatstore.errors import ChatStoreError
from chatstore.server.access import Access, AccessOf, Readable, ServiceOf, WholeStore
from chatstore.server.encoded import is_heavy
from chatstore.server.events import Place, PlaceOf
from chatstore.server.feeds import Feed, FiltersOf, HistoryFeed, KeysOf, StoreFeed, Subscribed
from chatstore.server.problems import problem_of
from chatstore.server.service import Service
from chatstore.server.stream import ABORT
from chatstore.server.unsent import Frame
from chatstore.wire import framing, problems

router: APIRouter = APIRouter()
_FAILED: Final = 1011
# 4000 to 4999 are for applications (RFC 6455, section 7.4.2).
_EXPIRED: Final = 4401


@router.websocket("/contexts/{context}/events")
async def follow_context(
    socket: WebSocket, history: Readable, service: ServiceOf, access: AccessOf, filters: FiltersOf, place: PlaceOf
) -> None:
    """Follows a context."""
    await Conversation(socket, service, access).serve(HistoryFeed(history, filters), place)


@router.websocket("/events")
async def follow_store(
    socket: WebSocket, service: WholeStore, access: AccessOf, filters: FiltersOf, place: PlaceOf, keys: KeysOf
) -> None:
    """Follows all contexts, or those with these context keys and, by `tag=`, context tags."""
    await Conversation(socket, service, access).serve(StoreFeed(service, filters, keys), place)


class Conversation:
    """One WebSocket, and what it is told."""

    def __init__(self, socket: WebSocket, service: Service, access: Access) -> None:
        self._socket = socket
        self._service = service
        self._access = access
        self._subscription: Subscribed | None = None
        self._sending = asyncio.Lock()
        self._code = 1000
        self._ahead = False  # whether the cursor is behind a change that was not sent yet
        self.idle_since: float = 0.0
        self._beats: set[asyncio.Task[None]] = set()

    async def serve(self, feed: Feed, place: Place) -> None:
        """Until the client goes, or nothing will follow."""
        try:
            finished = not place.follow or await feed.is_finished()
            subscription = feed.subscribe(place.cursor, follow=not finished, timeout=place.timeout)
            await subscription.__aenter__()
        except ChatStoreError as error:
            raise problem_of(error) from None
        self._subscription = subscription
        async with subscription:
            self._service.streams.join(self, self._access.subject)
            try:
                await self._socket.accept()
                await self._serve(subscription, place)
            finally:
                self._service.streams.leave(self)

    async def _serve(self, subscription: Subscribed, place: Place) -> None:
        loop = asyncio.get_running_loop()
        listening = loop.create_task(self._until_gone())
        expires = None
        if self._access.expires_at is not None:
            expires = loop.call_later(self._access.expires_at - time.time(), self._expire)
        self.idle_since = loop.time()
        self._service.pulse.join(self)
        try:
            await self._send(_heartbeat(subscription))
            await self._pump(subscription, place)
        finally:
            self._service.unsent.release(self)
            self._service.pulse.leave(self)
            listening.cancel()
            if expires is not None:
                expires.cancel()
            if self._socket.client_state is WebSocketState.CONNECTED:
                with suppress(RuntimeError, WebSocketDisconnect):
                    await self._socket.close(self._code)

    async def _pump(self, subscription: Subscribed, place: Place) -> None:
        try:
            async for change in subscription:
                if self._access.expired:
                    self._code = _EXPIRED
                    return
                if not place.wants(change):
                    continue
                self._service.metrics.delivered.tell(change)
                self._ahead = True
                made = self._encoded(change)
                del change
                await self._give(made)
                self._ahead = False
                del made
        except ChatStoreError as error:
            self._code = _FAILED
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._send(json.dumps({"change": "problem", **problems.problem(error)}))
        except (RuntimeError, WebSocketDisconnect):
            return  # the client is gone

    def _encoded(self, change: Change) -> str | asyncio.Task[Frame]:
        encoded = self._service.encoded
        if not is_heavy(change):
            return encoded.json(change)
        return encoded.heavy(change, lambda: encoded.json(change).encode(), "text")

    async def _give(self, made: str | asyncio.Task[Frame]) -> None:
        if isinstance(made, str):
            await self._send(made)
            return
        frame = await asyncio.shield(made)
        self._service.unsent.keep(self, frame)
        await self._send(frame.text)

    def drop(self) -> None:
        """Ends it where it is: its client does not read."""
        abort = self._socket.scope.get("extensions", {}).get(ABORT, self.stop)
        abort()

    async def _until_gone(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await self._socket.receive()  # whatever it says, nothing is asked of it
        self.stop()

    def _expire(self) -> None:
        self._code = _EXPIRED
        self.stop()

    def stop(self) -> None:
        """Ends it."""
        if self._subscription is not None:
            self._subscription.stop()

    async def _send(self, text: str) -> None:
        async with self._sending:
            await self._socket.send_text(text)
        self._service.unsent.release(self)
        self.idle_since = asyncio.get_running_loop().time()
        self._service.pulse.moved(self)

    def beat(self) -> None:
        """Sends a sign of life, unless the client has not read the last yet, or a change is to be sent: a cursor that
        led behind that would have it missed, if the connection broke off in between."""
        self.idle_since = asyncio.get_running_loop().time()
        if self._sending.locked() or self._ahead or self._subscription is None:
            return
        task = asyncio.get_running_loop().create_task(self._deliver_beat(self._subscription))
        self._beats.add(task)
        task.add_done_callback(self._beats.discard)

    async def _deliver_beat(self, subscription: Subscribed) -> None:
        if self._sending.locked() or self._ahead:  # a change is a sign of life too
            return
        with suppress(RuntimeError, WebSocketDisconnect):
            async with self._sending:
                await self._socket.send_text(_heartbeat(subscription))


def _heartbeat(subscription: Subscribed) -> str:
    return json.dumps({"change": framing.HEARTBEAT, "cursor": subscription.cursor})
