"""What a caller may do, decided in one place for every endpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import HTTPConnection

from chatstore import AsyncHistory
from chatstore.errors import ChatStoreError, InvalidInput
from chatstore.server.problems import Refused, not_found, problem_of
from chatstore.server.service import Service
from chatstore.wire.described import Segment
from chatstore.wire.names import context_of, keys_of


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may read and write: one context, or the whole store; until when, in seconds since 1970.

    `subject` names the caller: its streams and requests are counted together. `admin` may erase and make tokens for
    others.
    """

    subject: str
    context_id: str | None = None
    read: bool = True
    write: bool = False
    admin: bool = False
    expires_at: float | None = None

    def reaches(self, context_id: str | None) -> bool:
        """Whether a context is meant, or with None the whole store."""
        return self.context_id is None or self.context_id == context_id

    @property
    def expired(self) -> bool:
        """Whether it is over."""
        return self.expires_at is not None and time.time() >= self.expires_at


async def service_of(connection: HTTPConnection) -> Service:
    """What serves this router's store."""
    service: Service = connection.state.chatstore
    return service


async def access_of(connection: HTTPConnection) -> Access:
    """What the caller of this request may do."""
    # A dependency that refuses by what it declares, such as a header that is missing, has left nothing.
    access: Access | None = getattr(connection.state, "chatstore_access", None)
    if access is None or access.expired:
        raise Refused
    return access


ServiceOf = Annotated[Service, Depends(service_of)]
AccessOf = Annotated[Access, Depends(access_of)]


def _history(context: str, access: Access, service: Service, allowed: bool) -> AsyncHistory:
    try:
        context_id = context_of(context)
        # As if there were none: 403 would tell which contexts exist.
        if not (allowed and access.reaches(context_id)):
            raise not_found()
        return service.store.history(context_id)
    except ChatStoreError as error:
        raise problem_of(error) from None


async def readable(context: Segment, access: AccessOf, service: ServiceOf) -> AsyncHistory:
    """The history that the path names, if the caller may read it."""
    return _history(context, access, service, access.read)


async def writable(
    context: Segment,
    access: AccessOf,
    service: ServiceOf,
    context_keys: Annotated[str | None, Header(description="base64url of its context keys as JSON")] = None,
) -> AsyncHistory:
    """The same, if the caller may write to it. With `Context-Keys` the first write makes it with these."""
    history = _history(context, access, service, access.write)
    if context_keys is None:
        return history
    named = service.store.history(keys_of(context_keys))
    if named.context_id != history.context_id:
        raise InvalidInput("the Context-Keys are those of another context than the path names")
    return named


async def conversable(context: Segment, access: AccessOf, service: ServiceOf) -> AsyncHistory:
    """The same, if the caller may both write to it and read what comes of that."""
    return _history(context, access, service, access.read and access.write)


async def writing(access: AccessOf) -> Access:
    """The access, if the caller may write anything: for what says in its body which contexts are meant."""
    if not access.write:
        raise not_found()
    return access


async def erasable(context: Segment, access: AccessOf, service: ServiceOf) -> AsyncHistory:
    """The same, if the caller may erase it."""
    return _history(context, access, service, access.admin)


async def whole_store(access: AccessOf, service: ServiceOf) -> Service:
    """The service, if the caller may read all of its store."""
    if not (access.read and access.reaches(None)):
        raise not_found()
    return service


Readable = Annotated[AsyncHistory, Depends(readable)]
Writable = Annotated[AsyncHistory, Depends(writable)]
Conversable = Annotated[AsyncHistory, Depends(conversable)]
Writing = Annotated[Access, Depends(writing)]
Erasable = Annotated[AsyncHistory, Depends(erasable)]
WholeStore = Annotated[Service, Depends(whole_store)]
