"""Reads that are asked for in JSON: what the query of a URL cannot hold, names with colons and long lists among it.

Programs use these. A stream says at its start, and with every event, where to resume; and where nothing will follow,
its last event is `end`: a stream that breaks off without it is taken up again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from chatstore import Change
from chatstore.errors import ChatStoreError
from chatstore.model import JsonValue
from chatstore.server.access import Access, AccessOf, Readable, ServiceOf, WholeStore
from chatstore.server.feeds import Subscribed
from chatstore.server.forms import Count, Form, Messages
from chatstore.server.routes import Route, event_schema
from chatstore.server.service import Service
from chatstore.server.stream import StreamResponse
from chatstore.wire import changes, framing, problems
from chatstore.wire.described import After, Digest, Kind, Name, Place, State, Tagged
from chatstore.wire.drafts import at_most

router: APIRouter = APIRouter(route_class=Route, tags=["exact"])
Names = Annotated[list[Name], at_most("tags")] | None
_EVENTS = (*changes.NAMES, framing.HEARTBEAT, framing.END, "problem")
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The changes, as they come.",
        "content": {framing.EVENT_STREAM: {"schema": event_schema(_EVENTS)}},
    }
}


class _OfBlocks(Form):
    kind: Kind = "trace"
    types: Names = None
    roles: Names = None
    authors: Names = None
    states: Annotated[list[State], at_most("tags")] | None = None
    tags: Annotated[list[Tagged], at_most("tags")] | None = None

    def filters(self, *more: str) -> dict[str, Any]:
        """As the methods of a store take them."""
        return {name: getattr(self, name) for name in ("kind", "types", "roles", "authors", "states", "tags", *more)}


class Asked(_OfBlocks):
    """Blocks of a kind, and values of which a block has one for each list that is given."""

    run: Name | None = None


class MessagesAsked(Asked):
    """Which blocks of a history."""

    last: int | None = Field(default=None, ge=0)
    limit: int | None = Field(default=None, ge=0)
    after: Place | None = None
    before: Place | None = None
    since_last_user_message: bool = False


class _Followed(Form):
    after: After | None = None
    follow: bool = True
    timeout: float | None = Field(default=None, ge=0, le=1e9)


class ContextFollowed(Asked, _Followed):
    """Which changes of a context, from where on."""


class StoreFollowed(_OfBlocks, _Followed):
    """Which changes of a store: of contexts with all these `keys` and `tags`."""

    keys: Annotated[dict[Name, Name], at_most("tags")] = Field(default_factory=dict)


@router.post("/contexts/{context}/messages/search")
async def search_messages(history: Readable, service: ServiceOf, asked: MessagesAsked) -> Messages:
    """Blocks, in order: a page of them, or all of a prompt. Of the `last` there may be more before the page."""
    wanted = asked.filters("run")
    if asked.since_last_user_message:
        return Messages(messages=await history.since_last_user_message(**wanted), more=False)
    wanted |= {"after": asked.after, "before": asked.before, "last": asked.last}
    most = service.limits.page
    if asked.kind == "prompt":
        return Messages(messages=await history.get_messages(limit=asked.limit, **wanted), more=False)
    if asked.last is not None:
        wanted["last"] = min(asked.last, most)
        return Messages(messages=await history.get_messages(limit=asked.limit, **wanted), more=asked.last > most)
    most = most if asked.limit is None else min(asked.limit, most)
    blocks = await history.get_messages(limit=most + 1, **wanted)
    return Messages(messages=blocks[:most], more=len(blocks) > most)


@router.post("/contexts/{context}/count")
async def count_messages(history: Readable, asked: Asked) -> Count:
    """How many blocks are selected."""
    return Count(count=await history.count(**asked.filters("run")))


@router.get("/parts/{digest}", response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}})
async def read_bytes(service: WholeStore, digest: Digest) -> Response:
    """The bytes of a part, by their digest. Needs a token of the whole store."""
    headers = {"Content-Disposition": "attachment", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(await service.store.read_bytes(digest), headers=headers, media_type="application/octet-stream")


@router.post("/contexts/{context}/events/search", response_class=Response, responses=_STREAM)
async def follow_context(history: Readable, service: ServiceOf, access: AccessOf, asked: ContextFollowed) -> Response:
    """Follows a context, as server-sent events."""
    options: dict[str, JsonValue] = {"after": asked.after, "follow": asked.follow, "timeout": asked.timeout}
    service.streams.check(access.subject)
    return await _stream(service, access, history.subscribe(**options, **asked.filters("run")))


@router.post("/events/search", response_class=Response, responses=_STREAM)
async def follow_store(service: WholeStore, access: AccessOf, asked: StoreFollowed) -> Response:
    """Follows all contexts, or those with these context keys and tags, as server-sent events."""
    options: dict[str, JsonValue] = {"after": asked.after, "follow": asked.follow, "timeout": asked.timeout}
    service.streams.check(access.subject)
    return await _stream(service, access, service.store.subscribe(keys=asked.keys, **options, **asked.filters()))


async def _stream(service: Service, access: Access, subscription: Subscribed) -> Response:
    await subscription.__aenter__()  # what is refused is refused before the answer begins

    def frame(change: Change, cursor: str | None) -> Iterable[bytes]:
        yield framing.event(service.encoded.json(change), name=changes.name_of(change), id=cursor)

    def failed(error: ChatStoreError) -> Iterable[bytes]:
        yield framing.event(json.dumps(problems.problem(error)), name="problem")

    def last() -> Iterable[bytes]:
        yield framing.event("", name=framing.END, id=subscription.cursor)

    return StreamResponse(
        service,
        access,
        subscription,
        frame,
        media_type=framing.EVENT_STREAM,
        form="event",
        beat=service.encoded.heartbeat,
        failed=failed,
        last=last,
        before=(framing.heartbeat(subscription.cursor),),
    )
