"""Changes as they come: server-sent events, JSON Lines, long polls and WebSockets, all of one feed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from chatstore import Change, TextAppended
from chatstore.errors import ChatStoreError
from chatstore.server.access import Access, AccessOf, Readable, ServiceOf, WholeStore
from chatstore.server.encoded import Room
from chatstore.server.feeds import Feed, FiltersOf, HistoryFeed, KeysOf, StoreFeed, Subscribed
from chatstore.server.forms import ChangesPage
from chatstore.server.polls import polling
from chatstore.server.routes import Route, event_schema
from chatstore.server.service import Service
from chatstore.server.stream import Framed, StreamResponse
from chatstore.wire import changes, framing, problems
from chatstore.wire.described import After, Seen

router: APIRouter = APIRouter(route_class=Route, tags=["events"])
RETRY_MILLISECONDS = 1_000
_STREAMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The changes, as they come; with wait= a page of them.",
        "content": {
            framing.EVENT_STREAM: {"schema": event_schema([*changes.NAMES, framing.HEARTBEAT, "problem"])},
            framing.JSON_LINES: {"schema": {"type": "string"}},
        },
    },
    204: {"description": "Nothing follows, and nothing ever will."},
}


@dataclass(frozen=True, slots=True)
class Place:
    """From where to go on, and for how long."""

    after: Annotated[After | None, Query(description="a cursor, or `now`; Last-Event-ID comes before it")] = None
    follow: Annotated[bool, Query(description="false ends when caught up")] = True
    timeout: Annotated[float | None, Query(ge=0, le=1e9, description="seconds without a change until it ends")] = None
    wait: Annotated[float | None, Query(ge=0, le=1e9, description="long poll: seconds to wait for a page")] = None
    limit: Annotated[int | None, Query(ge=1, description="changes in a page, at most")] = None
    text: Annotated[bool, Query(description="false leaves growing text out: blocks come whole, as they end")] = True
    last_event_id: Annotated[Seen | None, Header()] = None

    @property
    def cursor(self) -> str | None:
        """The cursor to go on behind."""
        return self.last_event_id or self.after

    def wants(self, change: Change) -> bool:
        """Whether a change is given out."""
        return self.text or not isinstance(change, TextAppended)


PlaceOf = Annotated[Place, Depends()]


@router.get("/contexts/{context}/events", response_model=ChangesPage, responses=_STREAMS)
async def follow_context(
    request: Request, history: Readable, service: ServiceOf, access: AccessOf, filters: FiltersOf, place: PlaceOf
) -> Response:
    """Follows a context, as server-sent events, JSON Lines (`Accept: application/x-ndjson`) or a page (`wait=`)."""
    return await _answer(request, service, access, HistoryFeed(history, filters), place)


@router.get("/events", response_model=ChangesPage, responses=_STREAMS)
async def follow_store(
    request: Request,
    service: WholeStore,
    access: AccessOf,
    filters: FiltersOf,
    place: PlaceOf,
    keys: KeysOf,
) -> Response:
    """Follows all contexts, or those with these context keys and, by `tag=`, context tags."""
    return await _answer(request, service, access, StoreFeed(service, filters, keys), place)


async def _answer(request: Request, service: Service, access: Access, feed: Feed, place: Place) -> Response:
    if place.wait is not None:
        return await poll(request, service, access, feed, place)
    service.streams.check(access.subject)
    lines = framing.JSON_LINES in request.headers.get("accept", "")
    finished = not place.follow or await feed.is_finished()
    subscription = feed.subscribe(place.cursor, follow=not finished, timeout=place.timeout)
    await subscription.__aenter__()
    begin = b"" if lines else framing.retry(RETRY_MILLISECONDS) + framing.heartbeat(subscription.cursor)
    first = [await _first(subscription, place)] if finished else []
    # 204 is what stops EventSource for good: an empty stream it would ask for again, for ever.
    if first == [None] and not lines:
        return Response(status_code=204, headers=framing.STREAM_HEADERS)
    return StreamResponse(
        service,
        access,
        subscription,
        _json_line(service, place) if lines else _sse(service, place),
        media_type=framing.JSON_LINES if lines else framing.EVENT_STREAM,
        form="line" if lines else "event",
        first=[change for change in first if change is not None],
        beat=(lambda cursor: b"\n") if lines else service.encoded.heartbeat,
        failed=_failed_line if lines else _failed,
        before=[begin] if begin else [],
    )


async def _first(subscription: Subscribed, place: Place) -> Change | None:
    try:
        async for change in subscription:
            if place.wants(change):
                return change
    except BaseException:
        await subscription.close()
        raise
    return None


def _sse(service: Service, place: Place) -> Framed:
    def frame(change: Change, cursor: str | None) -> Iterable[bytes]:
        return (service.encoded.event(change, cursor),) if place.wants(change) else ()

    return frame


def _json_line(service: Service, place: Place) -> Framed:
    def frame(change: Change, cursor: str | None) -> Iterable[bytes]:
        return (framing.line(service.encoded.json(change)),) if place.wants(change) else ()

    return frame


def _failed(error: ChatStoreError) -> Iterable[bytes]:
    yield framing.event(json.dumps(problems.problem(error)), name="problem")


def _failed_line(error: ChatStoreError) -> Iterable[bytes]:
    yield framing.line(json.dumps({"change": "problem", **problems.problem(error)}))


async def poll(request: Request, service: Service, access: Access, feed: Feed, place: Place) -> Response:
    """The changes behind a cursor, waited for if there are none yet."""
    assert place.wait is not None
    limit = min(place.limit or service.limits.page, service.limits.page)
    subscription = feed.subscribe(place.cursor, follow=False, timeout=None)
    async with subscription:
        page = await _page(subscription, limit, place)
    if not page.changes and place.wait:
        wait = min(place.wait, service.limits.wait)
        subscription = feed.subscribe(page.cursor or place.cursor, follow=True, timeout=wait)
        async with polling(service, access, request, subscription):
            page = await _page(subscription, 1, place)
        page.more = limit == 1 and bool(page.changes)
    if page.room.is_light:
        body = _body(page, service.encoded.json)
    else:
        body = await to_thread.run_sync(_body, page, changes.to_json)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@dataclass(slots=True)
class _Page:
    changes: list[Change]
    cursor: str | None
    more: bool
    room: Room


async def _page(subscription: Subscribed, limit: int, place: Place) -> _Page:
    found: list[Change] = []
    room = Room()
    more = False
    while not more and (change := await anext(subscription, None)) is not None:
        if place.wants(change):
            found.append(change)
            more = not room.takes(change) or len(found) == limit
    return _Page(found, subscription.cursor, more, room)


def _body(page: _Page, encode: Callable[[Change], str]) -> str:
    cursor = "null" if page.cursor is None else f'"{page.cursor}"'
    more = "true" if page.more else "false"
    return f'{{"changes":[{",".join(map(encode, page.changes))}],"cursor":{cursor},"more":{more}}}'
