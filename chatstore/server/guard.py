"""What every request goes through first: whose page sent it, what it brings, how large that is.

Written for ASGI itself: Starlette's own middleware of functions holds streams back.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.server import access_log, bodies
from chatstore.server.origins import Origins
from chatstore.server.problems import Problem, Refused, answer_to
from chatstore.server.service import Service
from chatstore.server.tokens import TokenAuthority

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST_QUERY: Final = 32 * 1024
_TAKEN: Final = "authorization, content-type, context-keys, idempotency-key, if-match, last-event-id"
"""The headers that scripts of other origins may send: all that endpoints read."""
_SHOWN: Final = "retry-after, stream-closed, stream-cursor, stream-next-offset, stream-up-to-date"
"""The headers of answers that such scripts are shown: what Durable Streams say there, and when to come again."""


class Guard:
    """Refuses what no page or program of the user's own would send, and adds security headers to every answer.

    With an `authority`, a request's body is not even read before its token was.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        *,
        hosts: Collection[str],
        origins: Origins,
        authority: TokenAuthority | None = None,
    ) -> None:
        self._app = app
        self._service = service
        self._authority = authority
        self._hosts = _LOCAL | {host.lower() for host in hosts}
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        told = _Told(self._service, scope, send, self._cors(headers))
        try:
            self._check(scope, headers)
            if scope["type"] == "http" and scope["method"] in _CHANGING:
                self._check_body(headers)
                if self._authority is not None:
                    await self._authority(HTTPConnection(scope))
        except (Problem, Refused) as refused:
            await _refuse(refused, scope, receive, told)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await Response(status_code=204)(scope, receive, told)
            return
        await self._app(scope, bodies.Limited(receive, self._service.limits), told)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        if "*" not in self._hosts and _without_port(host) not in self._hosts and host not in self._hosts:
            raise Problem(421, "wrong_host", "this server is not known by that name; see --host-name")
        self._origins.check(headers)
        if len(scope.get("query_string", b"")) > _LONGEST_QUERY:
            raise Problem(414, "uri_too_long", f"a query has at most {_LONGEST_QUERY:,} bytes")

    def _check_body(self, headers: Headers) -> None:
        """Refuses a body that is too large, compressed or no JSON, before any of it is read."""
        length = headers.get("content-length", "0")
        most = self._service.limits.body_bytes
        # Bounded before it becomes a number: of more than 4,300 digits Python makes none, and raises ValueError.
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            raise bodies.too_large(most)
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "unsupported_media_type", "a body is sent as it is, and not compressed")
        bodies.must_be_json(headers)

    def _cors(self, headers: Headers) -> dict[str, str]:
        origin = headers.get("origin", "")
        if origin not in self._origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Headers": _TAKEN,
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            "Access-Control-Expose-Headers": _SHOWN,
            "Access-Control-Max-Age": "600",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }


async def _refuse(refused: Problem | Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        # Closed before it is accepted, it is answered by status 403 (ASGI, Close - send event).
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        return
    await answer_to(refused)(scope, receive, send)


def _without_port(host: str) -> str:
    # Only a port that is one is taken off: `localhost:1@evil.com` is another host.
    name, _, port = host.rpartition(":")
    return name if port.isdecimal() else host


class _Told:
    """An answer, with the headers that each has; it is logged and counted."""

    def __init__(self, service: Service, scope: Scope, send: Send, headers: dict[str, str]) -> None:
        self._service, self._scope, self._send, self._headers = service, scope, send, headers
        self._begun = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in (SECURITY_HEADERS | self._headers).items():
                    if name not in own or name in self._headers:
                        own[name] = value
                own.setdefault("Cache-Control", "no-store")
                self._tell(message["status"])
            case "websocket.accept":
                self._tell(101)
        await self._send(message)

    def _tell(self, status: int) -> None:
        self._service.metrics.requests.labels(str(status)).inc()
        access_log.told(self._scope, status, self._begun)
