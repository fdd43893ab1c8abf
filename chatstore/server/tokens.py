"""Tokens: what somebody may do, until when, signed.

They are JSON Web Tokens (RFC 7519) signed by HMAC with SHA-256, of these claims: `aud`, the identity of the store they
are for; `sub`, who they were made for; `scope`, some of `read`, `write` and `admin`; `ctx`, the one context they
reach, where they do not reach all; `exp`.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import time
from functools import cached_property
from pathlib import Path
from typing import Final

import jwt
from starlette.requests import HTTPConnection

from chatstore import AsyncChatStore
from chatstore.errors import InvalidInput
from chatstore.server.access import Access
from chatstore.server.problems import Refused, not_found

COOKIE: Final = "chatstore_token"
QUERY: Final = "access_token"
SECRET_VARIABLE: Final = "CHATSTORE_SECRET"
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "chatstore"
_LEAST_SECRET: Final = 32
_REQUIRED: Final = ["aud", "exp", "iss", "scope", "sub"]
_LONGEST: Final = 8_192
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
WITHOUT_HEADERS: Final = re.compile(r"/(events|stream|chunks)$|/(agui|v1/stream)/|/blocks/[^/]+/parts/[^/]+$")
"""What browsers open by an address alone: streams by EventSource, images and sounds by their elements."""


class TokenAuthority:
    """Makes and checks the tokens of one store, once that is open. Without a `secret`, with that of `secret_of`."""

    def __init__(self, store: AsyncChatStore, secret: str | None = None) -> None:
        self._store = store
        self._given = None if secret is None else _checked(secret)

    @property
    def cookie(self) -> str:
        """The name of its cookie. Browsers send cookies to every port of a host: each store's has a name of its own."""
        return f"{COOKIE}_{self._store.identity}"

    @property
    def _audience(self) -> str:
        return self._store.identity

    @cached_property
    def _secret(self) -> str:
        return self._given or secret_of(self._store.identity)

    def make(self, access: Access) -> str:
        """The token of an access, which has to end some time."""
        if access.expires_at is None:
            raise InvalidInput("a token ends some time; give it an expires_at")
        scope = [name for name in ("read", "write", "admin") if getattr(access, name)]
        claims: dict[str, object] = {"iss": _ISSUER, "aud": self._audience, "sub": access.subject}
        claims |= {"scope": " ".join(scope), "exp": math.ceil(access.expires_at), "jti": secrets.token_hex(8)}
        if access.context_id is not None:
            claims["ctx"] = access.context_id
        return jwt.encode(claims, self._secret, _ALGORITHM)

    def read(self, token: str) -> Access:
        """What a token allows. Raises Refused, whatever is wrong with it."""
        # Before it is decoded: a signature is computed over all that is there.
        if len(token) > _LONGEST:
            raise Refused
        try:
            claims = jwt.decode(
                token,
                self._secret,
                # This one alone, whatever the token names: else it could choose `none`.
                [_ALGORITHM],
                audience=self._audience,
                issuer=_ISSUER,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError:
            raise Refused from None
        scope, context_id = claims["scope"], claims.get("ctx")
        if not isinstance(scope, str) or not (context_id is None or isinstance(context_id, str)):
            raise Refused
        allowed = set(scope.split())
        return Access(
            subject=str(claims["sub"]),
            context_id=context_id,
            read="read" in allowed,
            write="write" in allowed,
            # Whoever reaches one context may not administer the store, even with a token that says so.
            admin="admin" in allowed and context_id is None,
            expires_at=float(claims["exp"]),
        )

    async def __call__(self, connection: HTTPConnection) -> Access:
        """The access of a request: by its Authorization header, its cookie, or a token for reading in its query."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if token:
            if scheme.lower() != "bearer":
                raise Refused
            return self.read(token.strip())
        if (token := connection.query_params.get(QUERY, "")) and _only_reads(connection):
            return _for_reading_alone(self.read(token))
        if token := connection.cookies.get(self.cookie, ""):
            return self.read(token)
        raise Refused


def _only_reads(connection: HTTPConnection) -> bool:
    """Whether it is read by what cannot send headers."""
    if connection.scope["type"] == "websocket":
        return True
    return connection.scope["method"] in _SAFE_METHODS and bool(WITHOUT_HEADERS.search(connection.scope["path"]))


def _for_reading_alone(access: Access) -> Access:
    """A query ends up in logs and histories of browsers: a token that can write is not taken from there."""
    if access.write or access.admin:
        raise Refused(
            "a token in the query may only read: make one with `chatstore token --read …`, or send this one as"
            " Authorization: Bearer …"
        )
    return access


def narrowed(own: Access, context_id: str | None, *, read: bool, write: bool, ttl: float, subject: str) -> Access:
    """An access for somebody else, of no more than the caller's own. Who is no admin is counted together with those
    that it lets in: or else a caller would have as many streams as it makes tokens."""
    if not (read or write):
        raise InvalidInput("a token allows something: read, write or both")
    if not own.reaches(context_id) or (write and not own.write) or (read and not own.read):
        raise not_found()
    until = time.time() + ttl
    if own.expires_at is not None:
        # Or else a token could outlive itself by what it makes.
        until = min(until, own.expires_at)
    return Access(subject if own.admin else own.subject, context_id, read=read, write=write, expires_at=until)


def _checked(secret: str) -> str:
    if len(secret) < _LEAST_SECRET:
        raise InvalidInput(f"the secret has {len(secret)} characters; it needs {_LEAST_SECRET} that nobody guesses")
    return secret


def secret_of(identity: str) -> str:
    """The secret of a store's tokens: the environment's CHATSTORE_SECRET, or that in a file of this user's own, which
    is made with the first use."""
    if given := os.environ.get(SECRET_VARIABLE):
        return _checked(given)
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "chatstore"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / f"{identity}.secret"
    made = home / f".{identity}.{secrets.token_hex(4)}"
    try:
        if not path.exists():
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
            os.link(made, path)  # the first of several processes wins
    except FileExistsError:
        pass
    finally:
        made.unlink(missing_ok=True)
    return path.read_text().strip()
