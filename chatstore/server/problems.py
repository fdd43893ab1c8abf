"""How refusals and errors are answered: as `application/problem+json`, without a word on how the server is made."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from chatstore.errors import ChatStoreError
from chatstore.wire import problems
from chatstore.wire.drafts import TOO_MANY

_log = logging.getLogger(__name__)
_CODES: Final = {
    401: "unauthorized",
    403: "forbidden",
    429: "too_many_requests",
    404: "not_found",
    405: "method_not_allowed",
    413: "limit_exceeded",
    415: "unsupported_media_type",
}
_RETRY_LATER: Final = frozenset({429, 503})
_LONGEST_DETAIL: Final = 1_000
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_LONGEST_NAME: Final = 20
_MISSPELT: Final = re.compile(r"[a-z]+(_[a-z]+)*")


class Problem(HTTPException):
    """An answer that is a problem of the server's own kind.

    It is an HTTPException so that any application it is raised in answers with its status: where a body is read,
    FastAPI takes all other exceptions for mistakes in the body.
    """

    def __init__(self, status: int, code: str, detail: str, **own: Any) -> None:
        super().__init__(status, detail)
        self.body: dict[str, Any] = problems.described(status, code, detail, **own)


class Refused(HTTPException):
    """The caller showed no token that holds."""

    def __init__(
        self, detail: str = "this needs a token that holds: Authorization: Bearer …; `chatstore token` makes one"
    ) -> None:
        super().__init__(401, detail, {"WWW-Authenticate": "Bearer"})


def not_found() -> Problem:
    """What is not there, and what the caller's token does not reach: they look the same."""
    return Problem(404, "not_found", "there is nothing here, or nothing that this token reaches")


def problem_of(error: ChatStoreError) -> Problem:
    """An error of the store, where only an answer may be raised: WebSockets have no other way to be refused."""
    body = problems.problem(error)
    told = {name: value for name, value in body.items() if name not in ("type", "title", "status", "code", "detail")}
    return Problem(body["status"], body["code"], body["detail"], **told)


def answer(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem as a response."""
    status = body["status"]
    later = {"Retry-After": "1"} if status in _RETRY_LATER else {}
    return JSONResponse(
        {**body, "detail": _shortened(body["detail"])}, status, {**later, **(headers or {})}, problems.MEDIA_TYPE
    )


def answer_to(error: Exception) -> Response:
    """The response for any error."""
    match error:
        case Problem():
            return answer(error.body)
        case Refused():
            headers = dict(error.headers or {})
            return answer(problems.described(401, "unauthorized", error.detail), headers)
        case ChatStoreError():
            body = problems.problem(error)
            if body["status"] >= 500:
                _log.warning("a request failed: %s: %s", type(error).__name__, _one_line(str(error)))
            return answer(body)
        case RequestValidationError() | WebSocketRequestValidationError():
            return answer(_invalid(error.errors()))
        case HTTPException():
            code = _CODES.get(error.status_code, "invalid_request")
            headers = dict(error.headers or {})
            return answer(problems.described(error.status_code, code, str(error.detail)), headers)
    _log.error("a request failed: %s", type(error).__name__, exc_info=error)
    return answer(problems.described(500, "error", "the server could not do it; its log says why"))


def refused_for(errors: Sequence[Any]) -> Problem:
    """The refusal of what is wrong in a request."""
    body = _invalid(errors)
    problem = Problem(body["status"], body["code"], body["detail"])
    problem.body = body
    return problem


def _invalid(found: Sequence[Any]) -> dict[str, Any]:
    for one in found:
        if one["type"] == TOO_MANY:
            return problems.described(413, "limit_exceeded", one["msg"], **one["ctx"])
    return problems.described(422, "invalid_input", "; ".join(map(_told, _of_the_form_meant(found)[:3])))


def _of_the_form_meant(found: Sequence[Any]) -> Sequence[Any]:
    """Without what keeps one draft from being several: a body with no `drafts` is one, and its fields are right."""
    several = [one for one in found if one["loc"][1:2] == ("Drafts",)]
    if any(one["type"] == "missing" and one["loc"][2:] == ("drafts",) for one in several):
        return [one for one in found if one not in several] or found
    return found


def _told(one: dict[str, Any]) -> str:
    """Where a request is wrong, and how; not what was in it. A key that looks like no field's name is not repeated."""
    if one["type"] == "extra_forbidden":
        *place, name = one["loc"]
        named = str(name) if len(str(name)) <= _LONGEST_NAME and _MISSPELT.fullmatch(str(name)) else "…"
        return f"{'.'.join([*_fields(place), named])}: there is no such field here"
    return f"{'.'.join(_fields(one['loc']))}: {one['msg']}"


def _fields(place: Sequence[str | int]) -> list[str]:
    return [str(part) for part in place if isinstance(part, int) or _FIELD.fullmatch(part)]


def _shortened(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


HANDLED: Final = (ChatStoreError, RequestValidationError, WebSocketRequestValidationError, HTTPException)
"""The errors that are answered by a problem of their own."""


async def handle(_connection: HTTPConnection, error: Exception) -> Response:
    """As an exception handler of an application."""
    return answer_to(error)


def attend(app: FastAPI) -> None:
    """Has an application answer so to whatever its endpoints raise."""
    for kind in (*HANDLED, Exception):
        app.add_exception_handler(kind, handle)
