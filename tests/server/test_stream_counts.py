"""How many streams one token has open, when all come at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from http_support import DEADLINE, Served, append, eventually
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from chatstore.server import ServerLimits


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["events", "socket"])
def test_no_more_streams_are_open_than_one_token_may_have(serve: Callable[..., Served], kind: str) -> None:
    served = serve(limits=ServerLimits(streams=10))
    append(served.client(), "c", "x")
    assert asyncio.run(asyncio.wait_for(all_at_once(served, kind), DEADLINE)) == Counter({200: 10, 429: 40})
    eventually(lambda: len(served.service.streams) == 0, "streams that have ended are counted")


async def all_at_once(served: Served, kind: str) -> Counter[int]:
    """What 50 are answered with that ask at once and stay."""
    token = served.token()
    ask = socket if kind == "socket" else events
    found = await asyncio.gather(*(ask(served, token) for _ in range(50)))
    assert len(served.service.streams) == 10
    for _, connection in found:
        if isinstance(connection, ClientConnection):
            await connection.close()
        elif connection is not None:
            connection.close()
    return Counter(status for status, _ in found)


async def events(served: Served, token: str) -> tuple[int, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"GET /contexts/c/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    return int((await reader.readline()).split()[1]), writer


async def socket(served: Served, token: str) -> tuple[int, ClientConnection | None]:
    address = f"ws://127.0.0.1:{served.port}/contexts/c/events"
    try:
        return 200, await connect(address, additional_headers={"Authorization": f"Bearer {token}"})
    except InvalidStatus as refused:
        return refused.response.status_code, None
