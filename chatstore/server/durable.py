"""Durable Streams, the half that is read: contexts and runs as streams of State Protocol messages."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from chatstore import AsyncHistory, AsyncSubscription, Change, RunEnded
from chatstore.encoders import context_message, run_message
from chatstore.encoders import durable_streams as forms
from chatstore.errors import InvalidInput
from chatstore.server.access import Access, AccessOf, Readable, ServiceOf
from chatstore.server.encoded import Room
from chatstore.server.polls import polling
from chatstore.server.routes import Route, event_schema
from chatstore.server.service import Service
from chatstore.server.stream import StreamResponse
from chatstore.wire import described, framing

router: APIRouter = APIRouter(route_class=Route, tags=["durable streams"], prefix="/v1/stream")
_LONG_POLL = 20.0
Offset = Annotated[described.Offset | None, Query(description="read behind it; -1 for the beginning, now for the end")]
Live = Annotated[described.Live | None, Query(description="long-poll or sse")]
Echoed = Annotated[str | None, Query(description="the last Stream-Cursor")]
_READ: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Messages, as an array or as server-sent events.",
        "content": {
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            framing.EVENT_STREAM: {"schema": event_schema(["data", "control"])},
        },
    },
    204: {"description": "A long poll found nothing."},
}


@router.get("/ctx/{context}", response_class=Response, responses=_READ)
async def read_context(
    request: Request,
    history: Readable,
    service: ServiceOf,
    access: AccessOf,
    offset: Offset = None,
    live: Live = None,
    cursor: Echoed = None,
) -> Response:
    """A context: its blocks and runs. It is never closed."""
    return await _Reading(request, history, service, access, None, context_message, cursor).answer(offset, live)


@router.get("/run/{context}/{run}", response_class=Response, responses=_READ)
async def read_run(
    request: Request,
    history: Readable,
    service: ServiceOf,
    access: AccessOf,
    run: str,
    offset: Offset = None,
    live: Live = None,
    cursor: Echoed = None,
) -> Response:
    """A run: its blocks, with their text as it grows. It is closed when the run has ended."""
    found = (await history.get_run(run)).id
    return await _Reading(request, history, service, access, found, run_message, cursor).answer(offset, live)


class _Reading:
    """One request."""

    def __init__(
        self,
        request: Request,
        history: AsyncHistory,
        service: Service,
        access: Access,
        run: str | None,
        encode: Callable[[Change], Any],
        echoed: str | None,
    ) -> None:
        self._request, self._history, self._service, self._access = request, history, service, access
        self._run, self._encode, self._echoed = run, encode, echoed
        self._closed = False

    async def answer(self, offset: str | None, live: str | None) -> Response:
        """The messages behind an offset."""
        if live is None:
            return await self._page(forms.after_of(offset), wait=None)
        if offset is None:
            raise InvalidInput("live= needs an offset=: -1 for the beginning, now for the end")
        if live == "sse":
            return self._stream(forms.after_of(offset))
        if live != "long-poll":
            raise InvalidInput("live= is long-poll or sse")
        return await self._page(forms.after_of(offset), wait=min(_LONG_POLL, self._service.limits.wait))

    async def _page(self, after: str | None, wait: float | None) -> Response:
        messages, position, more = await self._read(after)
        closed = not more and await self._is_over()
        if not messages and wait is not None and not closed:
            messages, position, more = await self._wait(position or after, wait)
            closed = not more and await self._is_over()
        headers = {"Stream-Next-Offset": position or forms.START, "Cache-Control": "no-store"}
        if not more:
            headers["Stream-Up-To-Date"] = "true"
        if closed and not more:
            headers["Stream-Closed"] = "true"
        if wait is not None:
            headers["Stream-Cursor"] = forms.stream_cursor(time.time(), self._echoed, random.randint(1, 180))
            if not messages:
                return Response(status_code=204, headers=headers)
        return Response(json.dumps(messages, ensure_ascii=False), headers=headers, media_type=forms.CONTENT_TYPE)

    async def _read(self, after: str | None) -> tuple[list[Any], str | None, bool]:
        async with self._history.subscribe(after=after, run=self._run, follow=False) as changes:
            return await self._taken(changes, self._service.limits.page)

    async def _wait(self, after: str | None, seconds: float) -> tuple[list[Any], str | None, bool]:
        changes = self._history.subscribe(after=after, run=self._run, timeout=seconds)
        async with polling(self._service, self._access, self._request, changes):
            return await self._taken(changes, 1)

    async def _taken(self, changes: AsyncSubscription, most: int) -> tuple[list[Any], str | None, bool]:
        found: list[Any] = []
        room = Room()
        async for change in changes:
            has_room = room.takes(change)
            if (message := self._encode(change)) is not None:
                found.append(message)
            if len(found) >= most or not has_room:
                return found, changes.cursor, True
        return found, changes.cursor, False

    async def _is_over(self) -> bool:
        return self._run is not None and (await self._history.get_run(self._run)).state != "running"

    def _stream(self, after: str | None) -> Response:
        self._service.streams.check(self._access.subject)
        return StreamResponse(
            self._service,
            self._access,
            self._history.subscribe(after=after, run=self._run),
            self._frame,
            media_type=framing.EVENT_STREAM,
            beat=lambda cursor: self._control(cursor or forms.START),
            last=lambda: self._last(after),
        )

    def _frame(self, change: Change, cursor: str | None) -> Iterable[bytes]:
        message = self._encode(change)
        closed = self._closed = isinstance(change, RunEnded) and change.run.id == self._run
        if message is not None:
            yield framing.event(json.dumps([message], ensure_ascii=False), name="data")
        if message is not None or closed:
            yield self._control(cursor or change.cursor, closed=closed)

    def _last(self, after: str | None) -> Iterable[bytes]:
        """For who has read a run that is over to its end."""
        if self._run is not None and not self._closed:
            yield self._control(after or forms.START, closed=True)

    def _control(self, offset: str, *, closed: bool = False) -> bytes:
        told = forms.control(offset, now=time.time(), echoed=self._echoed, up_to_date=True, closed=closed)
        return framing.event(json.dumps(told), name="control")
