"""Writing: whole blocks, and blocks that grow."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Header

from chatstore import Block, BlockDraft
from chatstore.errors import BlockEnded, InvalidInput, LimitExceeded
from chatstore.model import JsonValue
from chatstore.runs import written_for
from chatstore.server.access import Conversable, Readable, ServiceOf, Writable
from chatstore.server.desk import ended_elsewhere, told_error
from chatstore.server.forms import BlockEnding, Drafts, Length, Piece, Stored, Tags
from chatstore.server.routes import Route
from chatstore.wire.described import BlockId, Expected, Name
from chatstore.wire.drafts import DraftGiven, drafts_of

router: APIRouter = APIRouter(route_class=Route, tags=["blocks"])
_FEW: Final = 200
"""Drafts that are made at once: for more, others would wait."""


@router.post("/contexts/{context}/messages", status_code=201)
async def append_blocks(
    history: Writable,
    service: ServiceOf,
    given: Drafts | DraftGiven,
    idempotency_key: Annotated[Name | None, Header()] = None,
    if_match: Annotated[
        Expected | None, Header(description="a cursor behind which nothing may have been written")
    ] = None,
) -> Stored:
    """Stores one block, or several: all of them or none. With an Idempotency-Key it is safe to repeat."""
    several = given if isinstance(given, Drafts) else Drafts(drafts=[given])
    expect = None if if_match is None else if_match.strip().removeprefix('"').removesuffix('"')
    own = {"key": several.key or idempotency_key, "expect": several.expect or expect}
    inside = nullcontext() if several.run_id is None else written_for(several.run_id, history)
    drafts = await _drafts(several, service.most_drafts)
    with service.timed(), inside:
        return Stored(blocks=await history.append(drafts, **own))


async def _drafts(given: Drafts, most: int) -> list[BlockDraft]:
    if len(given.drafts) > most:
        detail = f"one request appends at most {most:,} blocks, and this has {len(given.drafts):,}; send several"
        raise LimitExceeded(detail, limit="batch", value=most)
    if len(given.drafts) <= _FEW:
        return drafts_of(given.drafts)
    return await to_thread.run_sync(drafts_of, given.drafts)


@router.get("/contexts/{context}/blocks/{block}")
async def read_block(history: Readable, block: BlockId) -> Block:
    """One block."""
    return await history.get_block(block)


@router.post("/contexts/{context}/blocks", status_code=201)
async def open_block(
    history: Writable, service: ServiceOf, given: DraftGiven, idempotency_key: Annotated[str | None, Header()] = None
) -> Block:
    """Opens a block that grows: a message of the assistant, unless it says another type or role. Who opened it renews
    it through /leases; or else it is ended as interrupted."""
    if given.text or isinstance(given.parent, int):
        raise InvalidInput("a block is opened without text, and its parent is the id of a block")

    parent = given.parent

    async def open() -> Block:
        writer = await history.open_block(given.type, role=given.opened_role(), parent=parent, **given.options())
        service.desk.open_block(writer)
        return writer.block

    with service.timed():
        return await service.once.do("block", history, idempotency_key, given, open)


@router.post("/contexts/{context}/blocks/{block}/text")
async def write_text(history: Writable, service: ServiceOf, block: BlockId, given: Piece) -> Length:
    """Appends text to an open block; answered when it is stored. Repeating a piece stores it once."""
    opened = service.desk.block(block, history.context_id)
    if opened is None:
        raise ended_elsewhere(await history.get_block(block), "open")
    with service.timed():
        return Length(length=await opened.write(given.offset, given.text))


@router.post("/contexts/{context}/blocks/{block}/close")
async def end_block(history: Writable, service: ServiceOf, block: BlockId, given: BlockEnding) -> Block:
    """Ends an open block; the block as it is stored. Ended so already, it stays as it is."""
    opened = service.desk.block(block, history.context_id)
    if opened is None:
        stored = await history.get_block(block)
        if stored.state != given.state:
            raise ended_elsewhere(stored, given.state)
        return stored
    try:
        with service.timed():
            ended = await opened.end(given.state, given.data, given.usage, told_error(given.error))
    except BlockEnded:
        ended = await history.get_block(block)
        if ended.state != given.state:  # or else it is the same request once more
            raise
    service.desk.drop_block(block)
    return await history.get_block(block) if given.state == "interrupted" else ended


@router.post("/contexts/{context}/blocks/{block}/tags")
async def tag_block(
    history: Conversable,
    service: ServiceOf,
    block: BlockId,
    given: Tags,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Block:
    """Puts tags on a block, and gives that: so it needs a token that may read too."""
    work = partial(history.tag, block, *(tag.tag() for tag in given.tags))
    return await service.once.change("tag", history, idempotency_key, given, block, work)


@router.put("/contexts/{context}/blocks/{block}/usage")
async def set_usage(
    history: Conversable,
    service: ServiceOf,
    block: BlockId,
    given: dict[str, JsonValue],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Block:
    """Sets what a block cost, and gives that: so it needs a token that may read too."""
    work = partial(history.set_usage, block, given)
    return await service.once.change("usage", history, idempotency_key, given, block, work)
