"""The page: static files, and the link that opens it with a token."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from chatstore.server.problems import Refused
from chatstore.server.tokens import TokenAuthority

FILES: Final = Path(__file__).parent / "page"
REFUSED: Final = "refused"
"""What stands in the query of the page's address where a token did not hold; `main.js` says so."""
_FRESH: Final = {"Cache-Control": "no-cache"}


class _Fresh(StaticFiles):
    """Files that a browser asks for again whenever it opens the page, in case they are of a newer version."""

    def file_response(self, *arguments: object, **named: object) -> Response:
        """One file."""
        answer = super().file_response(*arguments, **named)  # type: ignore[arg-type]
        answer.headers.update(_FRESH)
        return answer


def _place(context_id: str | None) -> str:
    """The part of the page's address that opens a context, as the page's own `places.js` writes it."""
    return "" if context_id is None else f"#{urlencode({'c': context_id})}"


def _is_navigation(request: Request) -> bool:
    """Whether a person sees the answer, and no program."""
    mode = request.headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in request.headers.get("accept", "")


def add_page(app: FastAPI, authority: TokenAuthority | None) -> None:
    """Serves the page at `/`."""

    async def open_page(request: Request) -> Response:
        token = request.query_params.get("token")
        if token is None or authority is None:
            return FileResponse(FILES / "index.html", headers=_FRESH)
        try:
            access = authority.read(token)
        except Refused:
            if not _is_navigation(request):
                raise
            # Without a fragment of its own, the browser keeps that of the address that was asked for.
            return RedirectResponse(f"./?{REFUSED}", status_code=303)
        assert access.expires_at is not None
        answer = RedirectResponse(f"./{_place(access.context_id)}", status_code=303)
        answer.set_cookie(
            authority.cookie,
            token,
            max_age=max(1, int(access.expires_at - time.time())),
            httponly=True,
            samesite="strict",
            secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
        )
        return answer

    app.add_api_route("/", open_page, methods=["GET"], include_in_schema=False)
    app.mount("/page", _Fresh(directory=FILES, check_dir=False), name="page")
