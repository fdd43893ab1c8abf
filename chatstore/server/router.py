"""All endpoints of a store, to be mounted in any application."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Depends, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatstore.server import (
    about,
    addresses,
    blocks,
    contexts,
    durable,
    events,
    exact,
    gathered,
    protocols,
    ragna,
    runs,
    sockets,
    upkeep,
)
from chatstore.server.access import Access, AccessOf, ServiceOf
from chatstore.server.forms import TokenMade, TokenWanted
from chatstore.server.metrics import CONTENT_TYPE
from chatstore.server.origins import Origins
from chatstore.server.problems import HANDLED, handle, not_found
from chatstore.server.routes import PROBLEMS, Route
from chatstore.server.service import Service
from chatstore.server.tokens import TokenAuthority, narrowed

_log = logging.getLogger(__name__)
Authorize = Callable[..., Access | Awaitable[Access]]
"""A FastAPI dependency that says what the caller of a request may do, or raises."""


def _looked_at(origins: Collection[str] | Origins) -> params.Depends:
    """The dependency that refuses pages of other origins."""
    allowed = origins if isinstance(origins, Origins) else Origins(origins)

    async def look(connection: HTTPConnection) -> None:
        allowed.check(connection.headers)

    return params.Depends(look)


class StoreRouter(APIRouter):
    """The endpoints of a store, for `app.include_router(StoreRouter(store, authorize=…))`.

    `authorize` is a dependency of your own that gives an Access. `service` has what they share: when the application
    ends, `await router.service.close()` ends its streams. `origins`: other pages that may use it, as
    `https://app.example.com`, or `*` for all; those of other origins than the server's own are refused. `parameters`:
    names of query parameters that your application reads beside those that its dependencies declare; unknown ones are
    refused. How large a body is, is the application's own affair: `**options` are APIRouter's, such as FastAPI's
    `max_body_size`.
    """

    def __init__(
        self,
        service: Service,
        authorize: Authorize,
        *,
        origins: Collection[str] | Origins = (),
        parameters: Collection[str] = (),
        **options: Any,
    ) -> None:
        self.service = service
        dependant = get_dependant(path="", call=authorize)
        known = {*parameters, *addresses.parameters(dependant)}

        entrance = Depends(authorize)  # an annotation could not name what is known here alone

        async def enter(connection: HTTPConnection, access: Access = entrance) -> None:
            addresses.check(connection, known)
            service.rates.take(access.subject, time.monotonic())
            connection.state.chatstore = service
            connection.state.chatstore_access = access

        super().__init__(
            dependencies=[_looked_at(origins), Depends(enter)], responses=PROBLEMS, route_class=Route, **options
        )
        for router in _routers(dependant):
            self.include_router(router)
        if isinstance(authorize, TokenAuthority):
            self._give_tokens(authorize)
        self.add_api_route("/metrics", read_metrics, methods=["GET"], response_class=Response, tags=["server"])

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request. A WebSocket that is refused is answered as its routes would, were they asked."""
        if scope["type"] == "websocket":
            scope = {**scope, "starlette.exception_handlers": (dict.fromkeys(HANDLED, handle), {})}
        await super().handle(scope, receive, send)

    def _give_tokens(self, authority: TokenAuthority) -> None:
        async def make_token(access: AccessOf, service: ServiceOf, wanted: TokenWanted) -> TokenMade:
            """A token for somebody else, of no more than the caller's own."""
            if wanted.context_id is not None:
                service.store.history(wanted.context_id)  # raises for what no context is named
            subject = f"{access.subject}/{uuid4().hex[:12]}"
            made = narrowed(
                access, wanted.context_id, read=wanted.read, write=wanted.write, ttl=wanted.ttl, subject=subject
            )
            assert made.expires_at is not None
            return TokenMade(token=authority.make(made), expires_at=made.expires_at)

        self.add_api_route("/tokens", make_token, methods=["POST"], tags=["server"], status_code=201)


def _routers(dependant: Dependant) -> Iterator[APIRouter]:
    """Those of the endpoints that a dependency of the application can guard."""
    for part in (about, contexts, blocks, gathered, runs, events, exact, protocols, ragna, durable, upkeep):
        yield part.router
    if _takes_request(dependant):
        _log.warning("WebSockets are left out, for authorize= takes a Request; have it take an HTTPConnection")
    else:
        yield sockets.router


def _takes_request(dependant: Dependant) -> bool:
    """Whether a dependency, or one that it has, is for requests alone; FastAPI has none for a WebSocket."""
    return dependant.request_param_name is not None or any(map(_takes_request, dependant.dependencies))


async def read_metrics(access: AccessOf, service: ServiceOf) -> Response:
    """Counts for Prometheus. Needs a token of the whole store."""
    if not (access.read and access.reaches(None)):
        raise not_found()
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)
