"""Text of many open blocks in one request: what a program gathers in a few milliseconds costs one round trip."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from chatstore.errors import ChatStoreError
from chatstore.server.access import Access, ServiceOf, Writing
from chatstore.server.desk import ended_elsewhere
from chatstore.server.forms import Piece
from chatstore.server.problems import Problem, not_found
from chatstore.server.routes import Route
from chatstore.server.service import Service
from chatstore.wire import problems

router: APIRouter = APIRouter(route_class=Route, tags=["blocks"])


class PieceOf(Piece):
    """A piece of text, and which block it belongs to. A wrong one is answered so, and the others are taken."""

    context_id: str
    block_id: str


class Pieces(BaseModel):
    """Pieces of several blocks, of each at most one."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    pieces: list[PieceOf] = Field(max_length=10_000)


class Taken(BaseModel):
    """For each piece, in their order: how many characters of its block are stored, or the problem."""

    answers: list[dict[str, Any]]


@router.post("/texts")
async def write_texts(access: Writing, service: ServiceOf, given: Pieces) -> Taken:
    """Appends text to several open blocks; answered when it is stored. Repeating a piece stores it once."""
    return Taken(answers=await asyncio.gather(*(_write(access, service, piece) for piece in given.pieces)))


async def _write(access: Access, service: Service, piece: PieceOf) -> dict[str, Any]:
    try:
        if not access.reaches(piece.context_id):
            raise not_found()
        opened = service.desk.block(piece.block_id, piece.context_id)
        if opened is None:
            # Read, to tell that it has ended from that it never was.
            raise ended_elsewhere(await service.store.history(piece.context_id).get_block(piece.block_id), "open")
        with service.timed():
            length = await opened.write(piece.offset, piece.text)
    except Problem as problem:
        return {"problem": problem.body}
    except ChatStoreError as error:
        return {"problem": problems.problem(error)}
    return {"length": length}
