"""The application: a store, its endpoints, and a page to look at."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from typing import Any, Final

from fastapi import FastAPI

import chatstore
from chatstore import AsyncChatStore
from chatstore.errors import ChatStoreError
from chatstore.server import openapi
from chatstore.server.forms import Status
from chatstore.server.guard import Guard
from chatstore.server.origins import Origins
from chatstore.server.page_routes import add_page
from chatstore.server.problems import Problem, attend
from chatstore.server.router import Authorize, StoreRouter
from chatstore.server.routes import PROBLEMS
from chatstore.server.service import Agent, ServerLimits, Service
from chatstore.server.tokens import TokenAuthority

_log = logging.getLogger(__name__)
ABOUT = "Chat histories: appended to, read back by purpose, and followed live, by any page or service."

_PLAIN: Final[dict[str, Any]] = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
"""No pages that load scripts from elsewhere; and a redirect would lead to http:// behind a server that speaks TLS."""


def create_app(
    store: AsyncChatStore | str | PathLike[str],
    *,
    authorize: Authorize | None = None,
    secret: str | None = None,
    limits: ServerLimits | None = None,
    hosts: Collection[str] = (),
    origins: Collection[str] = (),
    page: bool = True,
    agent: Agent | None = None,
) -> FastAPI:
    """An application that serves a store: one that is open, or the location of one that it opens and closes itself.

    `authorize`: a FastAPI dependency that gives an Access for each request; without it, tokens are asked for that are
    signed with `secret` (32 characters or more), or with one of this user's own. `hosts`: names beside localhost under
    which the server is known; `origins`: other pages that may use it, or `*` for all. `page=False` leaves the page out.
    `agent`: what answers user messages that come by AG-UI or from the AI SDK's `useChat`; without it they only attach.
    """
    opened = store if isinstance(store, AsyncChatStore) else AsyncChatStore(store)
    service = Service(opened, limits, agent=agent)
    tokens = TokenAuthority(opened, secret)
    app = FastAPI(
        title="chatstore",
        version=chatstore.__version__,
        description=ABOUT,
        lifespan=partial(_open, service, closes=opened is not store),
        **_PLAIN,
    )
    app.state.service = service
    own, allowed = tokens if authorize is None else None, Origins(origins)
    _add_endpoints(app, service, authorize or tokens, allowed)
    if page:
        add_page(app, own)
    openapi.complete(app, own)
    app.add_middleware(Guard, service=service, hosts=hosts, origins=allowed, authority=own)
    return app


@asynccontextmanager
async def _open(service: Service, app: FastAPI, *, closes: bool) -> AsyncIterator[None]:
    """The life of an application, with its store open."""
    await service.store.__aenter__()
    try:
        yield
    finally:
        await service.close()
        if closes:
            await service.store.close()


def _add_endpoints(app: FastAPI, service: Service, authorize: Authorize, origins: Origins) -> None:
    attend(app)
    app.include_router(StoreRouter(service, authorize, origins=origins))

    async def healthz() -> Status:
        """Whether the process lives."""
        return Status(status="ok")

    async def readyz() -> Status:
        """Whether the store can be read and written now; 503 if not, whatever the reason."""
        try:
            await service.store.contexts(limit=1)
        except ChatStoreError as error:
            _log.warning("not ready: %s", error)
            raise Problem(503, "not_ready", "the store cannot be read now", retryable=True) from None
        if service.space.is_missing:
            raise Problem(503, "not_ready", "the store has no space left", retryable=True)
        return Status(status="ready")

    open_to_all: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (403, 414, 421)}
    not_ready = {**open_to_all, 503: PROBLEMS[503]}
    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["server"], responses=open_to_all)
    app.add_api_route("/readyz", readyz, methods=["GET"], tags=["server"], responses=not_ready)
