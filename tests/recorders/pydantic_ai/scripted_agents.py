"""Agents of pydantic-ai whose model says what it is told to say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel

from chatstore import AsyncHistory
from chatstore.recorders.pydantic_ai import Recorder, record, recording

Answer = list[Any]
"""Pieces of one answer: text, events to wait for, errors to raise, and what the stand-in for a model takes."""


def think(text: str, signature: str | None = None, at: int = 0) -> dict[int, DeltaThinkingPart]:
    return {at: DeltaThinkingPart(content=text, signature=signature)}


def call(name: str, *args: str, id: str = "call_1", at: int = 0) -> list[dict[int, DeltaToolCall]]:
    """A call whose arguments come in pieces."""
    first = {at: DeltaToolCall(name=name, json_args=args[0], tool_call_id=id)}
    return [first, *({at: DeltaToolCall(json_args=one)} for one in args[1:])]


def model(*answers: Answer) -> FunctionModel:
    """One that gives these answers, one for each request."""
    left = [*answers]

    async def stream(messages: Any, info: Any) -> AsyncIterator[Any]:
        for piece in left.pop(0):
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                yield piece

    return FunctionModel(stream_function=stream)


def agent(*answers: Answer, **options: Any) -> Agent[Any, Any]:
    return Agent(model(*answers), name="helper", **options)


async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def adding() -> Agent[Any, Any]:
    """One that says what it does, thinks, calls a tool and answers."""
    first = [
        "Let ",
        "me add.",
        think("2 and ", at=1),
        think("3", "sig", at=1),
        *call("add", '{"a": 2,', ' "b": 3}', at=2),
    ]
    return agent(first, ["It is ", "5"], tools=[add])


def whole() -> list[Any]:
    """The events of a run, for who asks in whatever thread."""
    found: list[Any] = []

    async def run() -> None:
        async with adding().run_stream_events("Add 2 and 3") as events:
            found.extend([event async for event in events])

    runner = threading.Thread(target=lambda: asyncio.run(run()))
    runner.start()
    runner.join()
    return found


async def run(
    way: str,
    made: Agent[Any, Any],
    history: AsyncHistory | None,
    prompt: str = "Add 2 and 3",
    heard: Callable[[Any], Awaitable[None]] | None = None,
    **options: Any,
) -> list[Any]:
    """Runs an agent, recorded in this way or not at all; the events that come out of the recorder."""
    events: list[Any] = []

    async def hear(event: Any) -> None:
        events.append(event)
        if heard is not None:
            await heard(event)

    async def handler(ctx: Any, stream: Any) -> None:
        async for event in stream:
            await hear(event)

    if history is None or way == "capability":
        capabilities = [] if history is None else [Recorder(history, **options)]
        result = await made.run(prompt, event_stream_handler=handler, capabilities=capabilities)
        return [*events, result.output]
    if way == "handler":
        async with recording(history, **options) as write:

            async def both(ctx: Any, stream: Any) -> None:
                await write(ctx, _heard(stream, hear))

            return [*events, (await made.run(prompt, event_stream_handler=both)).output]
    async with made.run_stream_events(prompt) as stream:
        async for event in record(stream, history, prompt=prompt, **options):
            await hear(event)
    return [*events[:-1], events[-1].result.output]


async def _heard(stream: Any, hear: Callable[[Any], Awaitable[None]]) -> Any:
    async for event in stream:
        yield event
        await hear(event)
