"""Agents of Google's ADK whose model says what it is told to say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from google.adk.agents import BaseAgent, InvocationContext, LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.apps import App
from google.adk.events import Event
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.plugins import BasePlugin
from google.adk.runners import InMemoryRunner
from google.adk.workflow import START, Workflow
from google.genai import types

from chatstore import AsyncChatStore, AsyncHistory
from chatstore.recorders.google_adk import Recorder, record

SSE = RunConfig(streaming_mode=StreamingMode.SSE)
Answer = list[Any]
"""What a model gives for one request: responses, events to wait for, and errors to raise."""


def text(said: str, **more: Any) -> types.Part:
    return types.Part(text=said, **more)


def thought(said: str) -> types.Part:
    return types.Part(text=said, thought=True)


def call(name: str, **args: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(name=name, args=args))


def says(*parts: types.Part, **more: Any) -> LlmResponse:
    """All of an answer."""
    return LlmResponse(content=types.Content(role="model", parts=[*parts]), **more)


def piece(*parts: types.Part) -> LlmResponse:
    return says(*parts, partial=True)


def streamed(*pieces: str, **more: Any) -> Answer:
    """An answer that comes by pieces, and then whole."""
    return [*(piece(text(one)) for one in pieces), says(text("".join(pieces)), **more)]


def spent(prompt: int, answer: int) -> types.GenerateContentResponseUsageMetadata:
    return types.GenerateContentResponseUsageMetadata(
        prompt_token_count=prompt, candidates_token_count=answer, total_token_count=prompt + answer
    )


class Scripted(BaseLlm):
    """Gives these answers, one for each request."""

    answers: list[Any]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        for one in self.answers.pop(0):
            if isinstance(one, BaseException):
                raise one
            if isinstance(one, asyncio.Event):
                await one.wait()
            else:
                yield one


def agent(*answers: Answer, name: str = "helper", **options: Any) -> LlmAgent:
    return LlmAgent(name=name, description=name, model=Scripted(model="scripted", answers=[*answers]), **options)


class Own(BaseAgent):
    """An agent of somebody's own, which the framework runs in the task that reads."""

    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncGenerator[Event, None]:
        async for event in self.sub_agents[0].run_async(ctx):
            yield event


def rooted(root: str, *answers: Answer) -> Any:
    """An agent by itself, in one of somebody's own, or in a workflow."""
    made = agent(*answers)
    if root == "workflow":
        return Workflow(name="workflow", edges=[(START, made)])
    return made if root == "llm" else Own(name="own", sub_agents=[made])


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def adding() -> LlmAgent:
    """One that thinks, says what it does, calls a tool and answers."""
    pieces = [piece(thought("2 ")), piece(thought("and 3")), piece(text("Let ")), piece(text("me add."))]
    parts = thought("2 and 3"), text("Let me add."), call("add", a=2, b=3)
    return agent([*pieces, says(*parts, usage_metadata=spent(9, 4))], streamed("It is ", "5"), tools=[add])


def message(said: str = "Add 2 and 3") -> types.Content:
    return types.Content(role="user", parts=[text(said)])


class Running:
    """A runner with one session."""

    def __init__(self, root: Any, *plugins: BasePlugin) -> None:
        self.runner = InMemoryRunner(app=App(name="app", root_agent=root, plugins=[*plugins]))
        self.session: Any = None

    async def begin(self) -> None:
        self.session = await self.runner.session_service.create_session(app_name="app", user_id="u", session_id="s")

    async def events(self, new_message: types.Content | None = None, **options: Any) -> AsyncIterator[Any]:
        if self.session is None:
            await self.begin()
        stream: AsyncGenerator[Any, None] = self.runner.run_async(
            user_id="u", session_id="s", new_message=new_message or message(), **{"run_config": SSE, **options}
        )
        return stream


def history_of(store: AsyncChatStore) -> AsyncHistory:
    return store.history({"app_name": "app", "user_id": "u", "session_id": "s"})


async def run(
    way: str,
    root: Any,
    store: AsyncChatStore | None,
    heard: Callable[[Any], Awaitable[None]] | None = None,
    **options: Any,
) -> list[Any]:
    """Runs an agent, recorded in this way or not at all; the events that come out."""
    plugins = [Recorder(store, **options)] if store is not None and way in ("plugin", "both") else []
    stream: Any = await Running(root, *plugins).events()
    if store is not None and way in ("stream", "both"):
        asked = {"prompt": "Add 2 and 3"} if way == "stream" else {}
        stream = record(stream, history_of(store), **asked, **options)
    events = []
    async for event in stream:
        events.append(event)
        if heard is not None:
            await heard(event)
    return events


def whole() -> list[Any]:
    """The events of a run, for who asks in whatever thread."""
    found: list[Any] = []
    parts = text("Let me add."), call("add", a=2, b=3)
    first = [piece(text("Let ")), piece(text("me add.")), says(*parts, usage_metadata=spent(9, 4))]
    made = agent(first, streamed("It is ", "5"), tools=[add])
    runner = threading.Thread(target=lambda: found.extend(asyncio.run(run("none", made, None))))
    runner.start()
    runner.join()
    return found
