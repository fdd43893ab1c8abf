"""Reading and tagging contexts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from chatstore import Context
from chatstore.errors import LimitExceeded
from chatstore.server.access import Erasable, Readable, ServiceOf, WholeStore, Writable
from chatstore.server.feeds import FiltersOf, KeysOf, pairs
from chatstore.server.forms import ContextsPage, Count, Head, Messages, Search, Tags
from chatstore.server.problems import not_found
from chatstore.server.routes import PROBLEM_MODEL, Route
from chatstore.server.service import Service
from chatstore.wire.described import BlockId, Digest, Name, Pair, Place

router: APIRouter = APIRouter(route_class=Route, tags=["contexts"])
Limit = Annotated[int | None, Query(ge=1)]
_INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "audio/mpeg", "audio/wav", "audio/ogg"})
"""What a browser shows without running any of it."""
_BYTES: dict[str, Any] = {kind: {} for kind in ("application/octet-stream", *sorted(_INLINE))}


@router.get("/contexts", responses=PROBLEM_MODEL)
async def list_contexts(
    service: WholeStore,
    keys: KeysOf,
    tag: Annotated[list[Pair] | None, Query(description="KIND:NAME")] = None,
    after: Annotated[Name | None, Query(description="the id of the last context of the page before")] = None,
    limit: Limit = None,
    newest: bool = False,
) -> ContextsPage:
    """The contexts, in the order they were made, or the newest first."""
    wanted = Search(keys=keys, tags=pairs(tag or [], "tag"), after=after, newest=newest)
    return await _page(service, wanted, limit)


@router.post("/contexts/search")
async def search_contexts(service: WholeStore, wanted: Search) -> ContextsPage:
    """The same, for names that have colons in them."""
    return await _page(service, wanted, wanted.limit)


async def _page(service: Service, wanted: Search, limit: int | None) -> ContextsPage:
    most = min(limit or service.limits.page, service.limits.page)
    found = await service.store.contexts(
        keys=wanted.keys, tags=wanted.tags, after=wanted.after, limit=most + 1, newest_first=wanted.newest
    )
    page = found[:most]
    return ContextsPage(contexts=page, next=page[-1].context_id if len(found) > most else None)


@router.get("/contexts/{context}")
async def describe_context(history: Readable) -> Context:
    """A context: its keys, tags, head and times."""
    found = await history.info()
    if found is None:
        raise not_found()
    return found


@router.delete("/contexts/{context}", status_code=204)
async def erase_context(history: Erasable) -> None:
    """Removes a context and everything in it, for good. Needs a token of the whole store."""
    await history.erase()


@router.get("/contexts/{context}/head")
async def read_head(history: Readable) -> Head:
    """The cursor of the last change; of a context that does not exist, the one before its first."""
    return Head(head=await history.head())


@router.get("/contexts/{context}/count")
async def count_blocks(history: Readable, filters: FiltersOf) -> Count:
    """How many blocks are selected."""
    return Count(count=await history.count(**filters.in_context()))


@router.get("/contexts/{context}/messages")
async def read_messages(
    history: Readable,
    service: ServiceOf,
    filters: FiltersOf,
    last: Limit = None,
    after: Place | None = None,
    before: Place | None = None,
    limit: Limit = None,
    since_last_user_message: bool = False,
) -> Messages:
    """Blocks of a kind, in order. Of a prompt all, for a part of it is none."""
    wanted = filters.in_context()
    if since_last_user_message:
        return Messages(messages=await history.since_last_user_message(**wanted), more=False)
    most = service.limits.page
    if last is not None and last > most:
        raise LimitExceeded(f"the last {most:,} at most; then those before the first of them", limit="page", value=most)
    if last is not None or wanted["kind"] == "prompt":
        window: dict[str, Any] = {"last": last, "limit": limit}
    else:
        window = {"limit": min(limit or most, most) + 1}
    blocks = await history.get_messages(after=after, before=before, **window, **wanted)
    if last is not None or wanted["kind"] == "prompt":
        return Messages(messages=blocks, more=False)
    page = blocks[: window["limit"] - 1]
    return Messages(messages=page, more=len(blocks) > len(page))


@router.post("/contexts/{context}/tags", status_code=204)
async def tag_context(history: Writable, given: Tags) -> None:
    """Puts tags on the context itself."""
    await history.tag_context(*(tag.tag() for tag in given.tags))


@router.get(
    "/contexts/{context}/blocks/{block}/parts/{digest}",
    response_class=Response,
    responses={200: {"content": _BYTES, "description": "The bytes."}},
)
async def read_part(history: Readable, service: ServiceOf, block: BlockId, digest: Digest) -> Response:
    """The bytes of a part of a block."""
    parts = (await history.get_block(block)).parts
    part = next((one for one in parts if one.digest == digest), None)
    if part is None:
        raise not_found()
    content = await service.store.read_bytes(part)
    inline = part.mime_type in _INLINE
    headers = {
        "Content-Disposition": "inline" if inline else "attachment",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    return Response(content, headers=headers, media_type=part.mime_type if inline else "application/octet-stream")
