"""An agent of Google's Agent Development Kit, recorded by a plugin. Needs no model and no network:

pip install 'chatstore[google-adk]' && python examples/record_google_adk.py
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.apps import App
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types

from chatstore import AsyncChatStore, Block
from chatstore.recorders.google_adk import Recorder

logging.getLogger("google_adk").setLevel(logging.ERROR)  # the stand-in for a model tells no cost, of which it warns


def says(*parts: types.Part, partial: bool = False) -> LlmResponse:
    """What a model says."""
    return LlmResponse(content=types.Content(role="model", parts=[*parts]), partial=partial)


class Adder(BaseLlm):
    """Stands for a model; in its place goes the name of one."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Calls the tool, and tells what it gave."""
        last = llm_request.contents[-1].parts or []
        if last and last[-1].function_response:
            pieces = ["The answer ", "is ", str((last[-1].function_response.response or {})["result"])]
            for piece in pieces:
                yield says(types.Part(text=piece), partial=True)
            yield says(types.Part(text="".join(pieces)))
        else:
            call = types.FunctionCall(name="add", args={"a": 2, "b": 3})
            yield says(types.Part(text="I have to add", thought=True), types.Part(function_call=call))


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def show(block: Block) -> None:
    """One block in a line."""
    marks = [f"{tag.kind}/{tag.name}" for tag in block.tags]
    print(f"{block.index:3} {block.type:16} {block.author or '':10} {block.text!r} {' '.join(marks)}")


async def main(path: str = "chat.db") -> None:
    """Runs two turns, and prints what is stored of them."""
    async with AsyncChatStore(path) as store:
        agent = LlmAgent(name="helper", model=Adder(model="adder"), tools=[add])
        runner = InMemoryRunner(app=App(name="sums", root_agent=agent, plugins=[Recorder(store)]))
        await runner.session_service.create_session(app_name="sums", user_id="u1", session_id="s1")
        for question in ("Add 2 and 3", "Again"):
            asked = types.Content(role="user", parts=[types.Part(text=question)])
            streaming = RunConfig(streaming_mode=StreamingMode.SSE)
            async for _ in runner.run_async(user_id="u1", session_id="s1", new_message=asked, run_config=streaming):
                pass  # the events of the framework, as if nobody recorded them
        await runner.close()
        history = store.history({"app_name": "sums", "user_id": "u1", "session_id": "s1"})
        for block in await history.get_messages():
            show(block)
        print("the person sees:", [block.text for block in await history.get_messages(kind="transcript")])
        print("the runs are", [run.state for run in await history.runs()])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
