"""What clients of other protocols speak to: AG-UI, the Vercel AI SDK, and OpenAI's chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import JSONResponse, Response

from chatstore import AsyncHistory, AsyncSubscription, Block, Part, Run
from chatstore.encoders import AguiEncoder, AguiEvent, AiSdkEncoder, OpenAIChunkEncoder, place_of, ui_messages
from chatstore.encoders.ai_sdk import DONE
from chatstore.encoders.ai_sdk import HEADERS as AI_SDK_HEADERS
from chatstore.server.access import Access, AccessOf, Conversable, Readable, ServiceOf
from chatstore.server.agents import answered
from chatstore.server.questions import AguiInput, UiInput, asked
from chatstore.server.routes import Route, event_schema
from chatstore.server.service import Service
from chatstore.server.stream import StreamResponse
from chatstore.wire import framing
from chatstore.wire.names import segment

router: APIRouter = APIRouter(route_class=Route, tags=["protocols"])
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events.", "content": {framing.EVENT_STREAM: {"schema": event_schema()}}}
}
_EVENTS_OR_SNAPSHOT: dict[int | str, dict[str, Any]] = {
    200: {**_EVENTS[200], "content": {**_EVENTS[200]["content"], "application/json": {"schema": {"type": "object"}}}}
}
_IDLE: dict[int | str, dict[str, Any]] = {**_EVENTS, 204: {"description": "No run is being worked on."}}
LastEventId = Annotated[str | None, Header()]


def part_url(block: Block, part: Part) -> str | None:
    """Where a part is: where it was when it was stored, or its bytes here."""
    if part.digest is None:
        return part.url
    return f"/contexts/{segment(block.context_id)}/blocks/{block.id}/parts/{part.digest}"


@router.post("/agui/{context}", response_class=Response, responses=_EVENTS)
async def run_agui(
    history: Conversable, service: ServiceOf, access: AccessOf, given: AguiInput, last_event_id: LastEventId = None
) -> Response:
    """AG-UI: has the agent answer the last user message, if the server has an agent, and tells how that goes.

    With Last-Event-ID it only goes on telling.
    """
    if last_event_id is None:
        await answered(service, history, asked(given))
    return await _attach(history, service, access, last_event_id)


@router.get("/agui/{context}", response_class=Response, responses=_EVENTS_OR_SNAPSHOT)
async def follow_agui(
    history: Readable,
    service: ServiceOf,
    access: AccessOf,
    run_id: Annotated[str | None, Query(alias="runId", description="replay this run, and follow it")] = None,
    thread_id: Annotated[str | None, Query(alias="threadId", description="the messages and the active run")] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """AG-UI: the whole thread and what is going on in it, one run, or (`threadId`) a snapshot as JSON."""
    if thread_id is not None:
        return await _snapshot(history)
    if run_id is None or last_event_id is not None:
        return await _attach(history, service, access, last_event_id)
    encoder = AguiEncoder(history.context_id, part_url=part_url)
    run = await history.get_run(run_id)
    return _agui(service, access, history.subscribe(run=run.id), encoder)


async def _snapshot(history: AsyncHistory) -> Response:
    head = await history.head()
    active = _active(await history.runs())
    encoder = AguiEncoder(history.context_id, part_url=part_url)
    events = encoder.join(await history.get_messages(), [], head)
    [messages] = [one.event["messages"] for one in events if one.event["type"] == "MESSAGES_SNAPSHOT"]
    return JSONResponse({"messages": messages, "activeRun": None if active is None else {"runId": active.id}})


async def _attach(history: AsyncHistory, service: Service, access: Access, last_event_id: str | None) -> Response:
    encoder = AguiEncoder(history.context_id, part_url=part_url)
    place: str = await history.head()
    runs = await history.runs()
    blocks = await history.get_messages()
    before: list[AguiEvent] = []
    if last_event_id is None or place_of(last_event_id).joins:
        before = encoder.join(blocks, runs, place)
    else:
        place = encoder.resume(last_event_id, blocks)
    changes = history.subscribe(after=place, follow=encoder.running is not None)
    return _agui(service, access, changes, encoder, before=before, told=encoder.running)


def _agui(
    service: Service,
    access: Access,
    subscription: AsyncSubscription,
    encoder: AguiEncoder,
    *,
    before: Iterable[AguiEvent] = (),
    told: str | None = None,
) -> Response:
    service.streams.check(access.subject)
    return StreamResponse(
        service,
        access,
        subscription,
        lambda change, _: map(_framed, encoder.encode(change)),
        media_type=framing.EVENT_STREAM,
        before=map(_framed, before),
        until=lambda: told is not None and encoder.running != told,
        last=lambda: map(_framed, encoder.end()),
        beat=_comment,
    )


def _framed(one: AguiEvent) -> bytes:
    return framing.event(_json(one.event), id=one.id)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _comment(_: str | None) -> bytes:
    return framing.COMMENT


def _active(runs: Iterable[Run]) -> Run | None:
    return next((run for run in reversed([*runs]) if run.state == "running" and run.parent_run_id is None), None)


@router.get("/api/chat/{context}")
async def read_ui_messages(history: Readable) -> list[dict[str, Any]]:
    """AI SDK: the conversation as UI messages, for `useChat({messages})`."""
    active = _active(await history.runs())
    running = None if active is None else active.id
    return ui_messages(await history.get_messages(), without_run=running, part_url=part_url)


@router.post("/api/chat/{context}", response_class=Response, responses=_IDLE)
async def run_ui_message(history: Conversable, service: ServiceOf, access: AccessOf, given: UiInput) -> Response:
    """AI SDK: has the agent answer the last user message, if the server has an agent, and streams the answer."""
    run_id = await answered(service, history, asked(given))
    return await _ui_stream(history, service, access, run_id)


@router.get("/api/chat/{context}/stream", response_class=Response, responses=_IDLE)
async def resume_ui_message(history: Readable, service: ServiceOf, access: AccessOf) -> Response:
    """AI SDK: the answer that is being written, from its start."""
    return await _ui_stream(history, service, access)


async def _ui_stream(history: AsyncHistory, service: Service, access: Access, run_id: str | None = None) -> Response:
    if run_id is None:  # one that was begun just now may be over by this time
        active = _active(await history.runs())
        if active is None:
            return Response(status_code=204)
        run_id = active.id
    encoder = AiSdkEncoder(run_id, part_url=part_url)
    return _chunks(service, access, history, run_id, encoder, dict(AI_SDK_HEADERS))


@router.get("/contexts/{context}/runs/{run}/chunks", response_class=Response, responses=_EVENTS)
async def follow_chunks(history: Readable, service: ServiceOf, access: AccessOf, run: str) -> Response:
    """A run as OpenAI's chat.completion.chunk objects, from its start."""
    found = await history.get_run(run)
    return _chunks(service, access, history, found.id, OpenAIChunkEncoder(found.id), {})


def _chunks(
    service: Service,
    access: Access,
    history: AsyncHistory,
    run_id: str,
    encoder: AiSdkEncoder | OpenAIChunkEncoder,
    headers: dict[str, str],
) -> Response:
    service.streams.check(access.subject)

    def last() -> Iterable[bytes]:
        yield from (framing.event(_json(chunk)) for chunk in encoder.end())
        yield framing.event(DONE)

    return StreamResponse(
        service,
        access,
        history.subscribe(run=run_id),
        lambda change, _: (framing.event(_json(chunk)) for chunk in encoder.encode(change)),
        media_type=framing.EVENT_STREAM,
        until=lambda: encoder.over,
        last=last,
        beat=_comment,
        headers={name: value for name, value in headers.items() if name != "content-type"},
    )
