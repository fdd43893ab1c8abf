"""What programs ask first: which store is served, and by which rules."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel

import chatstore
from chatstore.server.access import AccessOf, ServiceOf
from chatstore.server.problems import not_found
from chatstore.server.routes import Route

router: APIRouter = APIRouter(route_class=Route, tags=["server"])


class About(BaseModel):
    """A store as it is served. `limits` are those of what is written to it; `body_bytes` is the most of one request,
    `heartbeat` the seconds between two signs of life of a stream, `lease` those of silence that a writer may have."""

    version: str
    identity: str
    limits: dict[str, int]
    body_bytes: int
    heartbeat: float
    lease: float


@router.get("/store")
async def read_about(access: AccessOf, service: ServiceOf) -> About:
    """Which store this is, and by which rules it is served."""
    if not (access.read or access.write):
        raise not_found()
    return About(
        version=chatstore.__version__,
        identity=service.store.identity,
        limits={**asdict(service.store.limits), "batch": service.most_drafts},
        body_bytes=service.limits.body_bytes,
        heartbeat=service.limits.heartbeat,
        lease=service.limits.lease,
    )
