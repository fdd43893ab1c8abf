"""What the address of a request says beside the names that its endpoint takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi.dependencies.models import Dependant
from starlette.requests import HTTPConnection

from chatstore.server.access_log import SECRET
from chatstore.server.problems import Problem

_LONGEST: Final = 40
_OF_PROTOCOLS: Final = {"protocols", "durable streams"}
"""The tags of endpoints whose clients are not written for us, and add parameters of their own."""


def check(connection: HTTPConnection, more: Collection[str] = ()) -> None:
    """Refuses an address that is no UTF-8, or has a parameter that nobody reads: misspelt, it would change nothing, and
    nobody would know. `more`: those that are read by others."""
    scope = connection.scope
    query: bytes = scope.get("query_string", b"")
    if not (_is_text(scope.get("raw_path") or b"") and _is_text(query)):
        raise Problem(400, "invalid_request", "the address is no UTF-8")
    if not query or not _OF_PROTOCOLS.isdisjoint(getattr(scope["route"], "tags", ())):
        return
    known = {*parameters(scope["route"].dependant), *more}
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known and name not in SECRET:
            told = ", ".join(sorted(known)) or "none"
            raise Problem(422, "invalid_input", f"query: there is no {_shown(name)} here; there are: {told}")


def _is_text(given: bytes) -> bool:
    try:
        unquote_to_bytes(given).decode()
    except UnicodeDecodeError:
        return False
    return True


def parameters(dependant: Dependant) -> Iterator[str]:
    """The query parameters that something takes, or what it depends on."""
    for field in dependant.query_params:
        yield field.alias
    for one in dependant.dependencies:
        yield from parameters(one)


def _shown(name: str) -> str:
    return ascii(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…")
