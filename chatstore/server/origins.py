"""Whose pages may use a server: its own, and those of the origins that it is told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from chatstore.server.problems import Problem

ANY: Final = "*"


class Origins:
    """The origins of other pages that are served beside a server's own."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed)

    def __contains__(self, origin: str) -> bool:
        return bool(origin) and (ANY in self._allowed or origin.lower() in self._allowed)

    def check(self, headers: Headers) -> None:
        """Refuses what the page of another origin has sent: a browser sends its user's cookies along."""
        if len(headers.getlist("host")) > 1:
            raise Problem(400, "invalid_request", "a request names one host")
        origin = headers.get("origin")
        if origin is None:
            elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")  # of one site are all ports
            foreign = elsewhere and headers.get("sec-fetch-mode") != "navigate"
        else:
            foreign = not _is_of(origin, headers.get("host", "").lower()) and origin not in self
        if foreign and ANY not in self._allowed:
            raise Problem(403, "wrong_origin", "pages of another origin are not served, unless `origins` names them")


def _is_of(origin: str, host: str) -> bool:
    """Whether a page is the server's own."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    return bool(host) and parts.netloc == host and parts.scheme in ("http", "https")
