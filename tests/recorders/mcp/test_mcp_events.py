"""The events of one session: what is sent again, and what other processes see of it."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.server.streamable_http import EventMessage
from mcp_serving import Wire, said
from mcp_types import JSONRPCNotification, JSONRPCResponse
from recorded import Process

from chatstore import AsyncChatStore, BlockAdded, Retain
from chatstore.recorders.mcp import SessionEvents

HERE = Path(__file__).parent


def message(text: Any) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"level": "info", "data": text})


@pytest.fixture
def events(async_store: AsyncChatStore) -> SessionEvents:
    return SessionEvents(async_store, "session-1")


async def replayed(events: SessionEvents, after: str) -> tuple[str | None, list[EventMessage]]:
    found: list[EventMessage] = []

    async def send(event: EventMessage) -> None:
        found.append(event)

    return await events.replay_events_after(after, send), found


def texts(found: list[EventMessage]) -> list[Any]:
    return [one.message.params["data"] for one in found]  # type: ignore[union-attr, index]


async def test_messages_come_out_as_they_went_in(events: SessionEvents) -> None:
    first = await events.store_event("7", None)
    given = [message({"é": [1.5, None, "\0"]}), JSONRPCResponse(jsonrpc="2.0", id=7, result={"a": {"b": []}})]
    ids = [await events.store_event("7", one) for one in given]
    stream, found = await replayed(events, first)
    assert stream == "7"
    assert [(one.event_id, one.message) for one in found] == [*zip(ids, given, strict=True)]
    assert [one.message.model_fields_set for one in found] == [one.model_fields_set for one in given]


async def test_streams_are_apart_and_priming_events_are_not_sent_again(events: SessionEvents) -> None:
    streams = ["1", "10", "_GET_stream", "", "x" * 5_000, "é" * 700, "a\0b"]
    first = {stream: await events.store_event(stream, None) for stream in streams}
    for number in range(3):
        for stream in streams:
            await events.store_event(stream, message(f"{streams.index(stream)}/{number}"))
            await events.store_event(stream, None)
    for place, stream in enumerate(streams):
        found_stream, found = await replayed(events, first[stream])
        assert found_stream == stream
        assert texts(found) == [f"{place}/{number}" for number in range(3)]
        assert texts((await replayed(events, found[0].event_id or ""))[1]) == [f"{place}/1", f"{place}/2"]
        assert texts((await replayed(events, found[-1].event_id or ""))[1]) == []


async def test_ids_are_unique_and_those_of_others_are_none(async_store: AsyncChatStore) -> None:
    one, other = (SessionEvents(async_store, name) for name in ("one", "other"))
    jobs = [events.store_event(str(n % 3), message(n)) for n in range(50) for events in (one, other)]
    ids = await asyncio.gather(*jobs)
    assert len({*ids}) == 100
    foreign = ids[1]
    block = await one.history.append_user_message("not an event")
    for id in (foreign, "", "7", "no id", "0" * 32, block.id, f"{foreign}\0", "é"):
        assert await replayed(one, id) == (None, [])


async def test_concurrent_messages_are_all_there_in_the_order_of_their_ids(events: SessionEvents) -> None:
    first = await events.store_event("7", None)
    ids = await asyncio.gather(*(events.store_event("7", message(n)) for n in range(500)))
    _, found = await replayed(events, first)
    assert len(found) == 500
    assert [one.event_id for one in found] == sorted(ids)
    assert [ids[number] for number in texts(found)] == [one.event_id for one in found]


async def test_a_replay_holds_a_page_and_not_the_stream(events: SessionEvents) -> None:
    large = "x" * 20_000
    first = await events.store_event("7", None)
    for _ in range(3):
        await asyncio.gather(*(events.store_event("7", message(large)) for _ in range(200)))
    count = 0

    async def send(_: EventMessage) -> None:
        nonlocal count
        count += 1

    tracemalloc.start()
    try:
        await events.replay_events_after(first, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 600
    assert peak < 8_000_000  # of 12, each held twice


async def test_what_is_sent_while_a_client_comes_back_is_there_the_next_time(events: SessionEvents) -> None:
    """The package begins to pass messages on some time after it has sent the old ones again; what comes in between is
    stored before the priming event that the client then has."""
    first = await events.store_event("7", None)
    await events.store_event("7", message("before"))
    stream, found = await replayed(events, first)
    assert (stream, texts(found)) == ("7", ["before"])
    await events.store_event("7", message("between"))
    primed = await events.store_event("7", None)
    await events.store_event("7", message("after"))
    assert texts((await replayed(events, primed))[1]) == ["between", "after"]
    assert texts((await replayed(SessionEvents(events.history._store, "session-1"), primed))[1]) == ["between", "after"]


async def test_events_that_were_not_retained_or_erased_are_none(path: Path) -> None:
    async with AsyncChatStore(path, retain=Retain(blocks=2)) as store:
        events = SessionEvents(store, "s")
        ids = [await events.store_event("7", message(n)) for n in range(5)]
        await store.prune()
        assert await replayed(events, ids[0]) == (None, [])
        assert texts((await replayed(events, ids[3]))[1]) == [4]
        await events.history.erase()
        assert await replayed(events, ids[3]) == (None, [])


_STORE = """
    import asyncio, sys
    from chatstore import AsyncChatStore
    from chatstore.recorders.mcp import SessionEvents
    from mcp_types import JSONRPCNotification

    async def main(path):
        async with AsyncChatStore(path) as store:
            events = SessionEvents(store, "session-1")
            for number in range(100_000):
                params = {"level": "info", "data": number}
                one = JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params=params)
                print(await events.store_event("7", one), flush=True)
    asyncio.run(main(*sys.argv[1:]))
"""


async def test_it_is_seen_live_and_what_was_acknowledged_survives_a_kill(path: Path, events: SessionEvents) -> None:
    seen = 0
    with Process(_STORE, path) as writer:
        first = await asyncio.to_thread(writer.line)
        async for change in events.history.subscribe(timeout=60):
            seen += isinstance(change, BlockAdded)
            if seen == 20:
                break
        ids = [first, *[await asyncio.to_thread(writer.line) for _ in range(25)]]
        writer.kill()
    stream, found = await replayed(events, first)
    assert stream == "7"
    assert [one.event_id for one in found][:25] == ids[1:]
    assert texts(found) == [*range(1, len(found) + 1)]


_SERVE = """
    import asyncio, sys
    from contextlib import asynccontextmanager
    from mcp.server.streamable_http import StreamableHTTPServerTransport
    from mcp_serving import Steps, serving
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from chatstore import AsyncChatStore
    from chatstore.recorders.mcp import SessionEvents

    async def main(path):
        async with AsyncChatStore(path) as store:
            transport = StreamableHTTPServerTransport("session-1", event_store=SessionEvents(store, "session-1"))
            server = Steps().server._lowlevel_server
            async with transport.connect() as (read, write):
                app = Starlette(routes=[Mount("/mcp", app=transport.handle_request)])
                async with serving(app) as port:
                    print(port, flush=True)
                    await server.run(read, write, server.create_initialization_options())
    asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_client_resumes_at_a_server_that_was_killed_and_started_again(path: Path) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        with Process(_SERVE, path, path=HERE) as server:
            port = await asyncio.to_thread(server.line)
            wire = await Wire(client, f"http://127.0.0.1:{port}/mcp/").begin()
            found = await wire.call(7, "a")
            assert said(found) == ["a-1", "a-2", "a-3", "a is done"]
            server.kill()
        with Process(_SERVE, path, path=HERE) as server:
            port = await asyncio.to_thread(server.line)
            wire._url = f"http://127.0.0.1:{port}/mcp/"
            assert said(await wire.resume(found[2]["id"])) == ["a-3", "a is done"]
            server.kill()
