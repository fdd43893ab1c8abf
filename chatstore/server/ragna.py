"""What clients of Ragna's API speak to: an answer as JSON Lines, each with a piece of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from chatstore import AsyncHistory, Change
from chatstore.encoders import RagnaLinesEncoder
from chatstore.encoders.shown import Event
from chatstore.server.access import Access, AccessOf, Conversable, Readable, ServiceOf
from chatstore.server.agents import answered
from chatstore.server.problems import Problem
from chatstore.server.questions import Question
from chatstore.server.routes import Route
from chatstore.server.service import Service
from chatstore.server.stream import StreamResponse
from chatstore.wire import framing

router: APIRouter = APIRouter(route_class=Route, tags=["protocols"])
MEDIA_TYPE: Final = "application/jsonl"
# Ragna gives them out as they are, and its own client takes them for ends of lines.
_ENDS_OF_LINES: Final = {ord(one): f"\\u{ord(one):04x}" for one in "\x85\u2028\u2029"}
_LINES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A message on each line, with a piece of the answer.", "content": {MEDIA_TYPE: {}}}
}
End = Annotated[bool, Query(description="a last line says how the run has ended, in `state` and `error`")]


class RagnaPrompt(BaseModel):
    """What Ragna's clients post; whole answers are read as messages."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", hide_input_in_errors=True, strict=True)

    prompt: str
    stream: Literal[True]


@router.post("/chats/{context}/answer", response_class=Response, responses=_LINES)
async def answer_ragna(
    history: Conversable, service: ServiceOf, access: AccessOf, given: RagnaPrompt, end: End = False
) -> Response:
    """Ragna: has the server's agent answer a prompt, and streams the answer."""
    run_id = await answered(service, history, Question(given.prompt, None))
    if run_id is None:
        raise Problem(404, "not_found", "this server has no agent that would answer")
    return _lines(history, service, access, run_id, end)


@router.get("/contexts/{context}/runs/{run}/lines", response_class=Response, responses=_LINES)
async def follow_lines(history: Readable, service: ServiceOf, access: AccessOf, run: str, end: End = False) -> Response:
    """A run as the lines that Ragna streams an answer by, from its start.

    Without `end` a run that did not complete has its lines broken off, as Ragna does: without the end of the body.
    """
    found = await history.get_run(run)
    return _lines(history, service, access, found.id, end)


def _lines(history: AsyncHistory, service: Service, access: Access, run_id: str, end: bool) -> Response:
    service.streams.check(access.subject)
    encoder = RagnaLinesEncoder(run_id)

    def frame(change: Change, _: str | None) -> Iterable[bytes]:
        return map(_line, encoder.encode(change))

    return StreamResponse(
        service,
        access,
        history.subscribe(run=run_id),
        frame,
        media_type=MEDIA_TYPE,
        until=lambda: encoder.over,
        last=lambda: [_line(encoder.end())] if end else (),
        whole=lambda: encoder.over if end else encoder.complete,
    )


def _line(message: Event) -> bytes:
    return framing.line(json.dumps(message, ensure_ascii=False, separators=(",", ":")).translate(_ENDS_OF_LINES))
