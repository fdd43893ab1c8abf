"""A line for each request: what was asked and how it was answered, without tokens and on one line."""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from urllib.parse import unquote_plus

from starlette.types import Scope

SECRET: Final = frozenset({"access_token", "token"})
_LONGEST: Final = 1_000
_TOKEN: Final = re.compile(r"ey[A-Za-z0-9_-]{8,}(\.|%2[Ee])[A-Za-z0-9_.%-]+")
"""A JSON Web Token, or most of one, wherever it stands."""
_log = logging.getLogger("chatstore.access")


def told(scope: Scope, status: int, begun: float) -> None:
    """Logs an answer. `begun`: `time.perf_counter()` when the request came."""
    if _log.isEnabledFor(logging.INFO):
        milliseconds = (time.perf_counter() - begun) * 1000
        _log.info("%s %s %d %.1f ms", scope.get("method", "WS"), shown(scope), status, milliseconds)


def shown(scope: Scope) -> str:
    """The path and query of a request, as far as a log shows them."""
    query = scope.get("query_string", b"").decode("latin-1")
    text = scope["path"] + ("?" + "&".join(map(_without_secret, query.split("&"))) if query else "")
    text = _TOKEN.sub("…", text)
    return "".join(map(_printable, text[:_LONGEST])) + ("…" if len(text) > _LONGEST else "")


def _without_secret(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}{equals}…" if unquote_plus(name).strip() in SECRET else parameter


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
