"""Upkeep of the whole store, for tokens with `admin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from chatstore import CheckReport
from chatstore.server.access import AccessOf, ServiceOf
from chatstore.server.forms import Form
from chatstore.server.problems import not_found
from chatstore.server.routes import Route
from chatstore.server.service import Service

router: APIRouter = APIRouter(route_class=Route, tags=["upkeep"])


async def administered(access: AccessOf, service: ServiceOf) -> Service:
    """The service, if the caller looks after its store."""
    if not (access.admin and access.reaches(None)):
        raise not_found()
    return service


Administered = Annotated[Service, Depends(administered)]


class Compacting(Form):
    """Of which blocks the pieces are removed: those that ended more than so many seconds ago."""

    older_than: float = Field(default=0.0, ge=0, le=1e9)


class Removed(BaseModel):
    """How many were removed."""

    removed: int


@router.post("/check")
async def check_store(service: Administered) -> CheckReport:
    """Compares all that is stored with the log and its checksums, and says what is damaged. Changes nothing."""
    return await service.store.check()


@router.post("/prune")
async def prune_store(service: Administered) -> Removed:
    """Removes what the store is not told to retain, everywhere and now; how many blocks."""
    return Removed(removed=await service.store.prune())


@router.post("/compact")
async def compact_store(service: Administered, given: Compacting) -> Removed:
    """Removes the pieces that finished blocks grew by; how many. Text and cursors stay as they are."""
    return Removed(removed=await service.store.compact(older_than=given.older_than))
