"""What the real API of Ragna streams, and what our server does of the same answer, recorded: byte by byte."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from ragna_api import answer, api
from served import Host, Served

from chatstore import AsyncChatStore, AsyncHistory
from chatstore.recorders.ragna import record, record_lines

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it is made of
    from ragna.core import Assistant, Chat, Message, Source
    from ragna.deploy._api import schemas
    from ragna.deploy._ui.api_wrapper import ApiWrapper

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
PIECES = ("Ragna ", 'strömt "quoted" \\ and / \x1f\x7f\t\n', "チャンク ", "🙂")
DEADLINE = 60


class Saying(Assistant):  # type: ignore[misc]
    """Says its pieces."""

    def answer(self, prompt: str, sources: list[Source]) -> Iterator[str]:
        yield from PIECES


class Dying(Assistant):  # type: ignore[misc]
    """Breaks off."""

    def answer(self, prompt: str, sources: list[Source]) -> Iterator[str]:
        yield "par"
        raise LookupError("died")


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


def client_of(served: Served) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {served.token}"}
    return httpx.AsyncClient(base_url=served.url, headers=headers, timeout=DEADLINE)


class Reader:
    """Reads the lines of a run from our server, one at a time: who writes the next waits for it."""

    def __init__(self, served: Served, run_id: str, **params: str) -> None:
        self._served, self._params = served, params
        self._url = f"/contexts/chat/runs/{run_id}/lines"
        self._read = asyncio.Semaphore(0)
        self.body = b""
        self.raised: httpx.HTTPError | None = None
        self.type: str | None = None

    async def read(self) -> None:
        async with client_of(self._served) as client, client.stream("GET", self._url, params=self._params) as response:
            assert response.status_code == 200
            self.type = response.headers["content-type"]
            try:
                async for data in response.aiter_raw():
                    self.body += data
                    for _ in range(data.count(b"\n")):
                        self._read.release()
            except httpx.HTTPError as error:
                self.raised = error

    async def has_read(self) -> None:
        await asyncio.wait_for(self._read.acquire(), DEADLINE)


async def in_step(served: Served, recording: Any, **params: str) -> Reader:
    """Reads a recording, each of whose pieces our server's client has read before the next comes."""
    reader = Reader(served, recording.run_id, **params)
    reading: asyncio.Task[None] | None = None
    try:
        async for _ in recording:
            reading = reading or asyncio.create_task(reader.read())
            await reader.has_read()
    except LookupError:
        pass
    assert reading is not None
    await asyncio.wait_for(reading, DEADLINE)
    return reader


async def lines_of(body: bytes) -> AsyncIterator[str]:
    for line in body.decode().split("\n")[:-1]:
        yield line


async def test_lines_that_were_recorded_come_out_byte_by_byte(
    path: Path, host: Host, async_store: AsyncChatStore
) -> None:
    async with api(Saying) as (ragna, chat):
        streamed = await answer(ragna, chat)
    assert streamed.count(b"\n") == len(PIECES)
    async with host.serving(str(path)) as served:
        recording = record_lines(lines_of(streamed), async_store.history("chat"), strict=True)
        reader = await in_step(served, recording)
    assert (reader.body, reader.type, reader.raised) == (streamed, "application/jsonl", None)


async def test_who_reads_late_gets_what_ragna_answers_at_once(
    path: Path, host: Host, async_store: AsyncChatStore
) -> None:
    history = async_store.history("chat")
    async with api(Saying) as (ragna, chat):
        at_once = await answer(ragna, chat, stream=False)
        streamed = await answer(ragna, chat)
    recording = record_lines(lines_of(streamed), history, strict=True)
    assert [line async for line in recording] == [line async for line in lines_of(streamed)]
    async with host.serving(str(path)) as served, client_of(served) as client:
        late = (await client.get(f"/contexts/chat/runs/{recording.run_id}/lines")).content
    [told], wanted = map(json.loads, late.splitlines()), json.loads(at_once)
    own = json.loads(streamed.splitlines()[0])
    assert told == {**wanted, "id": own["id"], "timestamp": own["timestamp"]}
    assert [*told] == [*wanted]


async def test_an_answer_that_is_recorded_in_the_api_has_the_bytes_that_the_api_gives(
    path: Path, host: Host, async_store: AsyncChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API answers with our recording in place of the answer itself, while somebody else follows at our server."""
    history, original = async_store.history("chat"), Chat.answer
    readers: list[tuple[Reader, asyncio.Task[None]]] = []

    async with host.serving(str(path)) as served:

        async def followed(recording: Any) -> AsyncIterator[str]:
            async for piece in recording:
                if not readers:
                    reader = Reader(served, recording.run_id)
                    readers.append((reader, asyncio.create_task(reader.read())))
                await readers[0][0].has_read()
                yield piece

        async def recorded(self: Chat, prompt: str, *, stream: bool = False) -> Message:
            message = await original(self, prompt, stream=stream)
            recording = record(message, history, prompt=prompt, strict=True)
            return Message(followed(recording), role=message.role, sources=message.sources)

        async with api(Saying) as (ragna, chat):
            monkeypatch.setattr(Chat, "answer", recorded)
            streamed = await asyncio.wait_for(answer(ragna, chat), DEADLINE)
        [(reader, reading)] = readers
        await asyncio.wait_for(reading, DEADLINE)
    theirs, ours = (json.loads(body.splitlines()[0]) for body in (streamed, reader.body))
    for name in ("id", "timestamp"):  # which either gives to what it makes
        streamed = streamed.replace(theirs[name].encode(), ours[name].encode())
    assert reader.body == streamed
    said = (await history.get_messages(roles=["assistant"]))[0]
    assert (said.id, said.text) == (ours["id"], "".join(PIECES))
    for line in reader.body.splitlines():
        assert schemas.Message.model_validate({**json.loads(line), "sources": []}).content in PIECES


@pytest.mark.parametrize("end", [False, True], ids=["as Ragna does", "with a last line"])
async def test_an_answer_that_fails_is_broken_off_or_says_so(
    path: Path, host: Host, async_store: AsyncChatStore, end: bool
) -> None:
    async with api(Dying) as (ragna, chat):
        streamed = await answer(ragna, chat)
    assert streamed.count(b"\n") == 1  # and no more is heard

    async def pieces() -> AsyncIterator[str]:
        async for line in lines_of(streamed):
            yield line
        raise LookupError("died")

    async with host.serving(str(path)) as served:
        recording = record_lines(pieces(), async_store.history("chat"), strict=True)
        reader = await in_step(served, recording, **({"end": "true"} if end else {}))
    if not end:
        assert reader.body == streamed
        assert isinstance(reader.raised, httpx.RemoteProtocolError)  # at which its page says that it is sorry
        return
    assert reader.raised is None
    assert reader.body.startswith(streamed)
    last = json.loads(reader.body.splitlines()[-1])
    assert (last["content"], last["sources"], last["state"], last["error"]) == ("", None, "failed", "LookupError: died")
    assert schemas.Message.model_validate({**last, "sources": []}).content == ""


async def asked(served: Served, prompt: str) -> list[dict[str, Any]]:
    """What the client of Ragna's own page makes of an answer of ours."""
    async with client_of(served) as client:
        improve = partial(ApiWrapper.improve_message, None)
        page = SimpleNamespace(client=client, improve_message=improve)
        return [message async for message in ApiWrapper.answer(page, "chat", prompt)]


async def test_the_client_of_ragnas_page_asks_the_agent_of_our_server(path: Path, host: Host) -> None:
    async def agent(history: AsyncHistory, prompt: str) -> None:
        sources = [{"id": "s", "document": {"id": "d", "name": "doc.txt"}}]
        async with history.open_message(data={"sources": sources}) as block:
            for piece in (f"You asked {prompt!r}.", "\u2028 One.\u0085", " Two."):
                await block.write(piece)
                await block.flush()

    async with host.serving(str(path)) as served:
        served.app.app.state.service.agent = agent
        messages = await asyncio.wait_for(asked(served, "Why?"), DEADLINE)
    assert "".join(message["content"] for message in messages) == "You asked 'Why?'.\u2028 One.\u0085 Two."
    assert [bool(message["sources"]) for message in messages] == [True] + [False] * (len(messages) - 1)
    assert len({(message["id"], message["timestamp"]) for message in messages}) == 1
    assert {message["role"] for message in messages} == {"assistant"}
