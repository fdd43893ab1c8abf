"""Endpoints whose errors are answered as problems, in whatever application they are mounted."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final, Protocol

from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from chatstore.server.bodies import must_be_json
from chatstore.server.forms import ProblemForm
from chatstore.server.problems import answer_to, refused_for

_REFERENCE = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemForm"}}}
PROBLEM_MODEL: dict[int | str, dict[str, Any]] = {500: {"model": ProblemForm, "content": _REFERENCE}}
"""Has one endpoint bring the model that the others refer to: a model costs each that has it time at every start."""
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": _REFERENCE}
    for status, what in {
        400: "The request cannot be read.",
        401: "No token that holds.",
        403: "The page that asks is of another origin.",
        404: "Nothing here, or nothing that the token reaches.",
        408: "The body of the request did not come in time.",
        409: "It was done before with other content, or is over.",
        410: "It was erased, or removed by retention.",
        412: "Something was written behind the cursor that was expected.",
        413: "More than the store or the server takes.",
        414: "The query is too long.",
        415: "The content type is not JSON.",
        421: "The server is not known by that name.",
        422: "Something in the request is wrong.",
        429: "More requests or streams than one token may have.",
        500: "The server could not do it.",
        503: "The store is busy or cannot be reached; try again.",
        507: "No space left.",
    }.items()
}
_LONG: Final = 256 * 1024
"""Bytes of a body that is read on a thread."""


def event_schema(names: Collection[str] = ()) -> dict[str, Any]:
    """What the events of a stream are, each by itself; `names` are those that they may have."""
    named: dict[str, Any] = {"type": "string", "enum": [*names]} if names else {"type": "string"}
    data = {"type": "string", "description": "one line of JSON"}
    properties = {"id": {"type": "string"}, "event": named, "data": data, "retry": {"type": "integer"}}
    return {"type": "object", "properties": properties}


class _Field(Protocol):
    def validate(self, value: Any, *, loc: tuple[int | str, ...]) -> tuple[Any, list[dict[str, Any]]]: ...


class _Asked(Request):
    """A request whose body, where it is long, is read on a thread: others would wait as long as that takes."""

    field: _Field | None = None

    async def json(self) -> Any:
        """The body; as the endpoint takes it, if it could be looked at already."""
        body = await self.body()
        if len(body) <= _LONG or self.field is None:
            return await super().json()
        return await to_thread.run_sync(_read, body, self.field)


def _read(body: bytes, field: _Field) -> Any:
    given = json.loads(body)
    read, errors = field.validate(given, loc=("body",))
    if errors:
        # Looked at once more by the framework, it would hold up the loop: so it is refused here.
        raise refused_for(errors)
    return read


class Route(APIRoute):
    """An endpoint of a store."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What handles a request."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                if request.method not in ("GET", "HEAD"):
                    must_be_json(request.headers)
                asked = _Asked(request.scope, request.receive)
                asked.field = self.body_field
                return await handle(asked)
            except Exception as error:
                return answer_to(error)

        return handled
