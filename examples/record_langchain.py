"""An agent of LangChain, recorded by a callback handler. Needs no model and no network:

    pip install 'chatstore[langchain]' langchain && python examples/record_langchain.py

The agent asks before it books, which ends the first run; the second one goes on with the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from chatstore import Block, ChatStore
from chatstore.recorders.langchain import HistoryCallbackHandler


@tool
def book(city: str) -> str:
    """Books a train."""
    return f"booked to {city}" if interrupt(f"Shall I book a train to {city}?") == "yes" else "not booked"


class ScriptedModel(BaseChatModel):
    """Stands for a model, and says what it is given; in its place goes any chat model of LangChain."""

    answers: list[list[AIMessageChunk]]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        """Knows them anyway."""
        return self

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Iterator[Any]:
        for chunk in self.answers.pop(0):
            yield ChatGenerationChunk(message=chunk)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return generate_from_stream(self._stream(messages))


def call(name: str, *pieces: str) -> list[AIMessageChunk]:
    """A call whose arguments come in pieces."""
    chunks = [{"index": 0, "id": None, "name": None, "args": piece, "type": "tool_call_chunk"} for piece in pieces]
    chunks[0] |= {"id": "call_1", "name": name}
    return [AIMessageChunk("", tool_call_chunks=[chunk]) for chunk in chunks]


def make_agent() -> Any:
    """One that books trains, and remembers by a checkpointer where it was."""
    asks = [AIMessageChunk("I look "), AIMessageChunk("for a train. "), *call("book", '{"city": ', '"Paris"}')]
    says = [AIMessageChunk("Your train "), AIMessageChunk("is booked.")]
    return create_agent(ScriptedModel(answers=[asks, says]), [book], name="travel", checkpointer=InMemorySaver())


def show(block: Block) -> None:
    """One block in a line."""
    marks = [f"{tag.kind}/{tag.name}" for tag in block.tags]
    print(f"{block.index:3} {block.type:16} {block.author or '':8} {block.text!r} {' '.join(marks)}".rstrip())


def main(path: str = "chat.db") -> None:
    """Asks, answers the question, and prints what is stored."""
    with ChatStore(path) as store:
        history = store.history("travel")
        config: Any = {"callbacks": [HistoryCallbackHandler(history)], "configurable": {"thread_id": "1"}}
        agent = make_agent()
        for given in ({"messages": [("user", "I want to go to Paris")]}, Command(resume="yes")):
            for _ in agent.stream(given, config, stream_mode="messages"):
                pass  # what LangGraph gives out, as if nobody recorded it
        for block in history.get_messages():
            show(block)
        print("the person sees:", [block.text for block in history.get_messages(kind="transcript")])
        print("the runs are", [run.state for run in history.runs()])


if __name__ == "__main__":
    main(*sys.argv[1:])
